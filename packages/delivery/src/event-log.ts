// Appends events to their topics. Each event has one appender; all but NODE_RESPONDED are there exactly once.
// First time: the server's own window on the event id. Repetition: the topic is read first, since that window is only two minutes long.

import { type Appender, type Backbone, EVENT_ID_HEADER, createOnceAppender } from "@outcry/backbone";
import { END_EVENTS, EVENTS, type Event, type EventType, derivedId } from "@outcry/protocol";
import { appendDecided, type Decide } from "./append-decided.js";

const encoder = new TextEncoder();

export interface AppendEventOptions {
  /** The topic's first event: the subject itself excludes a second one. */
  first?: boolean;
  /** This work may have been done before: by a process that died, or by this one before a timeout. */
  repeated?: boolean;
  /** Id of the intent behind whose end it must not stand. The topic is then read each time. */
  beforeEndOf?: string;
  /** What only one event tells, whatever its type and topic: of two writers at a time one is too late. */
  decides?: string;
}

/** `ended`: it was not appended, since the intent's end is on the topic. `decided`: one that decides the same was there before, perhaps itself. */
export type EventAppended = { kind: "in_log" | "ended" | "decided" };

export interface EventLog {
  append(event: Event, options?: AppendEventOptions): Promise<EventAppended>;
  /** What the topic's own events call for, until nothing is missing. Returns them with what was appended. */
  appendDecided(topic: string, decide: Decide): Promise<Event[]>;
}

/** Ids of an intent's end: one of the three is, or will be, on its topic. */
const endEventIds = (intentId: string): string[] =>
  Object.values(END_EVENTS).map((type: EventType) => derivedId("evt", type, intentId));

export function createEventLog(deps: { backbone: Backbone; appender: Appender }): EventLog {
  const { appender } = deps;
  const once = createOnceAppender(deps);
  return {
    appendDecided: (topic, decide) => appendDecided(deps, topic, decide),
    async append(event, { first = false, repeated = false, beforeEndOf, decides } = {}) {
      const data = encoder.encode(JSON.stringify(event));
      if (EVENTS[event.type].repeats) {
        await appender.append({ subject: event.topic, data });
        return { kind: "in_log" };
      }
      if ((repeated && !first) || beforeEndOf !== undefined) {
        const notBehind = beforeEndOf === undefined ? [] : endEventIds(beforeEndOf);
        const msgId = decides ?? event.id;
        const entry = { subject: event.topic, data, eventId: event.id, notBehind, msgId };
        const { kind } = await once.append(entry);
        if (kind === "excluded") return { kind: "decided" };
        return { kind: kind === "too_late" ? "ended" : "in_log" };
      }
      const headers = { [EVENT_ID_HEADER]: event.id };
      const { kind } = await appender.append({
        subject: event.topic,
        data,
        headers,
        msgId: decides ?? event.id,
        ...(first ? { expectFirst: true } : {}),
      });
      return { kind: decides !== undefined && kind === "duplicate" ? "decided" : "in_log" };
    },
  };
}

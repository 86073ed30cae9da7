// Appends events to their topics. Each event has one appender; all but NODE_RESPONDED are there exactly once.
// First time: the server's own window on the event id. Repetition: the topic is read first, since that window is only two minutes long.

import { type Appender, type Backbone, EVENT_ID_HEADER, appendAfterRead } from "@outcry/backbone";
import { EVENTS, type Event } from "@outcry/protocol";

const encoder = new TextEncoder();

export interface AppendEventOptions {
  /** The topic's first event: the subject itself excludes a second one. */
  first?: boolean;
  /** This work may have been done before: by a process that died, or by this one before a timeout. */
  repeated?: boolean;
}

export interface EventLog {
  append(event: Event, options?: AppendEventOptions): Promise<void>;
}

export function createEventLog(deps: { backbone: Backbone; appender: Appender }): EventLog {
  const { backbone, appender } = deps;
  return {
    async append(event, { first = false, repeated = false } = {}) {
      const data = encoder.encode(JSON.stringify(event));
      if (EVENTS[event.type].repeats) {
        await appender.append({ subject: event.topic, data });
        return;
      }
      if (repeated && !first) {
        await appendAfterRead({ backbone, appender }, { subject: event.topic, data, eventId: event.id });
        return;
      }
      const headers = { [EVENT_ID_HEADER]: event.id };
      await appender.append({
        subject: event.topic,
        data,
        headers,
        msgId: event.id,
        ...(first ? { expectFirst: true } : {}),
      });
    },
  };
}

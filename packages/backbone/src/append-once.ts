// Events that must be stored exactly once although their writer may have been killed behind the append: the topic is read first, and
// the append expects what was read. Message ids alone only cover the duplicate window.

import { OutcryError } from "@outcry/protocol";
import type { AppendEntry, Appender } from "./append.js";
import type { Backbone } from "./connect.js";
import { readAll } from "./read.js";
import { serially } from "./serially.js";

/** Every event carries its id here, so that a later reader of the topic finds it. */
export const EVENT_ID_HEADER = "Outcry-Event-Id";

const RETRY_WAIT_MS = 20; // a follower that answers Direct Get may lag behind the leader by about this
const TRIES_MAX = 100; // two seconds against a lively topic or a stale follower

export type AppendedOnce =
  | { readonly kind: "appended"; readonly seq: number }
  /** It had been stored before. */
  | { readonly kind: "found"; readonly seq: number }
  /** One with this `msgId` is there, another event or this one by another writer: it was not stored. */
  | { readonly kind: "excluded"; readonly seq: number }
  /** One of `notBehind` is there: it was not stored. */
  | { readonly kind: "too_late"; readonly seq: number };

export type EventEntry = Pick<AppendEntry, "subject" | "data" | "headers"> & {
  readonly eventId: string;
  /** Ids of events that close the subject to this one. */
  readonly notBehind?: readonly string[];
  /** Shared by events of several subjects that exclude each other, for as long as the server remembers it. Default: the event's id. */
  readonly msgId?: string;
};

export interface OnceAppender {
  /** Looks for the event on its whole subject and appends it when it is absent. Rejects as Appender.append does. */
  append(event: EventEntry): Promise<AppendedOnce>;
}

/** What is known of a subject while events wait to be appended to it. */
interface Lane {
  /** Last sequence that was read or appended. */
  seen: number;
  /** Sequence by event id. */
  readonly seqOf: Map<string, number>;
  waiting: number;
  readonly inTurn: ReturnType<typeof serially>;
}

/**
 * One event of a subject at a time: each append would make the expectations of all others wrong, and they would read the subject
 * again. Behind a killed worker hundreds of events of one topic come again at once.
 */
export function createOnceAppender(deps: { backbone: Backbone; appender: Appender }): OnceAppender {
  const lanes = new Map<string, Lane>();
  return {
    append(event) {
      const { subject } = event;
      const lane = lanes.get(subject) ?? { seen: 0, seqOf: new Map(), waiting: 0, inTurn: serially() };
      lanes.set(subject, lane);
      lane.waiting += 1;
      return lane
        .inTurn(() => appendInLane(deps, lane, event))
        .finally(() => {
          lane.waiting -= 1;
          if (lane.waiting === 0) lanes.delete(subject);
        });
    },
  };
}

async function appendInLane(
  { backbone, appender }: { backbone: Backbone; appender: Appender },
  lane: Lane,
  event: EventEntry,
): Promise<AppendedOnce> {
  const { subject, data, eventId, notBehind = [], msgId = eventId } = event;
  const headers = { ...event.headers, [EVENT_ID_HEADER]: eventId };
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    // What an earlier event of the lane has read need not be read again: the expectation says whether there is more.
    if (lane.seen === 0 || tries > 0) await readOn(backbone, appender.stream, subject, lane);
    const there = lane.seqOf.get(eventId);
    if (there !== undefined) return { kind: "found", seq: there };
    const behind = notBehind.find((id) => lane.seqOf.has(id));
    if (behind !== undefined) return { kind: "too_late", seq: lane.seqOf.get(behind)! };
    // With the id, for a writer that takes it for its first time: its append without an expectation must meet this one.
    const appended = await appender.append({ subject, data, headers, msgId, expectLast: { seq: lane.seen } });
    if (appended.kind === "appended") {
      lane.seen = appended.seq;
      lane.seqOf.set(eventId, appended.seq);
      return appended;
    }
    if (appended.kind === "duplicate") return { kind: msgId === eventId ? "found" : "excluded", seq: appended.seq };
    if (tries > 0) await new Promise((resolve) => setTimeout(resolve, RETRY_WAIT_MS * Math.random()));
  }
  lane.seen = 0;
  lane.seqOf.clear(); // the stream may be another one than it was
  throw new OutcryError(
    "dependency_unavailable",
    `nats: ${subject} changed ${TRIES_MAX} times while an event was appended to it`,
  );
}

async function readOn(backbone: Backbone, stream: string, subject: string, lane: Lane): Promise<void> {
  for await (const stored of readAll(backbone, stream, { filter: subject, fromSeq: lane.seen + 1 })) {
    const id = stored.headers.last(EVENT_ID_HEADER);
    if (id !== undefined) lane.seqOf.set(id, stored.seq);
    lane.seen = stored.seq;
  }
}

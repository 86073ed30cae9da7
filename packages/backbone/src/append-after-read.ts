// An event that must be stored exactly once although its writer may have been killed behind the append: the topic is read
// first, and the append expects what was read. Message ids alone only cover the duplicate window.

import { OutcryError } from "@outcry/protocol";
import type { AppendEntry, Appender } from "./append.js";
import type { Backbone } from "./connect.js";
import { readAll } from "./read.js";

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

/** Reads the whole subject, looks for the event, appends it when it is absent. Conflicts with other writers repeat that. */
export async function appendAfterRead(
  deps: { backbone: Backbone; appender: Appender },
  event: EventEntry,
): Promise<AppendedOnce> {
  const { backbone, appender } = deps;
  const { subject, data, eventId, notBehind = [], msgId = eventId } = event;
  const headers = { ...event.headers, [EVENT_ID_HEADER]: eventId };
  let seen = 0;
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    for await (const stored of readAll(backbone, appender.stream, { filter: subject, fromSeq: seen + 1 })) {
      const id = stored.headers.last(EVENT_ID_HEADER);
      if (id === eventId) return { kind: "found", seq: stored.seq };
      if (id !== undefined && notBehind.includes(id)) return { kind: "too_late", seq: stored.seq };
      seen = stored.seq;
    }
    // With the id, for a writer that takes it for its first time: its append without an expectation must meet this one.
    const appended = await appender.append({ subject, data, headers, msgId, expectLast: { seq: seen } });
    if (appended.kind === "appended") return appended;
    if (appended.kind === "duplicate") return { kind: msgId === eventId ? "found" : "excluded", seq: appended.seq };
    if (tries > 0) await new Promise((resolve) => setTimeout(resolve, RETRY_WAIT_MS * Math.random()));
  }
  throw new OutcryError(
    "dependency_unavailable",
    `nats: ${subject} changed ${TRIES_MAX} times while an event was appended to it`,
  );
}

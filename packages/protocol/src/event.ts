// The event: what readers of the log, sockets and webhooks get. Published versions parse for ever; unknown fields are ignored.

import Type, { type Static } from "typebox";
import { PROTOCOL_VERSION, Timestamp } from "./envelope.js";
import { EventId } from "./id-schemas.js";
import { derivedId, newId } from "./ids.js";
import { EVENTS, type EventType } from "./events.js";
import { type Clock, systemClock, toRfc3339 } from "./time.js";

export const Event = Type.Object({
  id: EventId,
  type: Type.String(),
  schema_version: Type.Integer({ minimum: 1 }),
  protocol_version: Type.String(),
  time: Timestamp,
  topic: Type.String(),
  trace_id: Type.String(),
  data: Type.Unknown(),
});
export type Event<T extends EventType = EventType> = Omit<Static<typeof Event>, "type" | "data"> & {
  type: T;
  data: EventData<T>;
};
export type EventData<T extends EventType> = Static<(typeof EVENTS)[T]["data"]>;

/** One of the table: its type tells its data. */
export type KnownEvent = { [T in EventType]: Event<T> }[EventType];

interface BuildEventOptions {
  topic: string;
  traceId: string;
  /** Makes the id the same at each repetition; absent for events that may repeat and are folded. */
  key?: string[];
  clock?: Clock;
}

export function buildEvent<T extends EventType>(type: T, data: EventData<T>, options: BuildEventOptions): Event<T> {
  const clock = options.clock ?? systemClock;
  return {
    id: options.key === undefined ? newId("evt", clock) : derivedId("evt", type, ...options.key),
    type,
    schema_version: EVENTS[type].schemaVersion,
    protocol_version: PROTOCOL_VERSION,
    time: toRfc3339(clock.now()),
    topic: options.topic,
    trace_id: options.traceId,
    data,
  };
}

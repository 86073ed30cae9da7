// An event as everyone outside sees it, on sockets, in the feed and in webhooks: the published members, in their order,
// without what transport or later versions add.

import type { Event } from "./event.js";

const decoder = new TextDecoder();
const MEMBERS = ["id", "type", "schema_version", "protocol_version", "time", "topic", "trace_id", "data"] as const;

/** The same text for the same stored bytes. Throws for what is no event. */
export function publicEvent(stored: Uint8Array): Event {
  const event = JSON.parse(decoder.decode(stored)) as Record<string, unknown>;
  if (typeof event.type !== "string") throw new TypeError("an event has no type");
  const view: Record<string, unknown> = {};
  for (const member of MEMBERS) view[member] = event[member];
  return view as unknown as Event;
}

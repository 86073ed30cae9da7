// An event as everyone outside sees it: the published members, in their order, without what transport or later versions add.

import type { RenderedEvent } from "@outcry/ws-gateway";

const MEMBERS = ["id", "type", "schema_version", "protocol_version", "time", "topic", "trace_id", "data"] as const;

/** Throws for what is no event; the engine then says that there was one. */
export function renderPublic(data: Uint8Array): RenderedEvent {
  const event = JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString()) as Record<
    string,
    unknown
  >;
  if (typeof event.type !== "string") throw new TypeError("an event has no type");
  const view: Record<string, unknown> = {};
  for (const member of MEMBERS) view[member] = event[member];
  return { type: event.type, json: JSON.stringify(view) };
}

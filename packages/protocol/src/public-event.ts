// An event as everyone outside sees it, on sockets, in the feed and in webhooks: the published members, in their order,
// without what transport or later versions add.

import type { Event } from "./event.js";

const decoder = new TextDecoder();
const MEMBERS = ["id", "type", "schema_version", "protocol_version", "time", "topic", "trace_id", "data"] as const;
const LINE_BREAK = /[\n\r]/; // between two members; inside a string it is escaped

/** Throws for what is no event. */
export const publicEvent = (stored: Uint8Array): Event => publicEventJson(stored).event;

/** Beside it, its JSON on one line: the same for the same stored bytes. Throws for what is no event. */
export function publicEventJson(stored: Uint8Array): { readonly event: Event; readonly json: string } {
  const text = decoder.decode(stored);
  const found = JSON.parse(text) as Record<string, unknown>;
  if (typeof found.type !== "string") throw new TypeError("an event has no type");
  // `buildEvent` makes these members in this order: as a rule the text that was stored is the one to show.
  if (isPublic(found) && !LINE_BREAK.test(text)) return { event: found as unknown as Event, json: text };
  const view: Record<string, unknown> = {};
  for (const member of MEMBERS) view[member] = found[member];
  return { event: view as unknown as Event, json: JSON.stringify(view) };
}

function isPublic(event: Record<string, unknown>): boolean {
  let at = 0;
  for (const member in event) if (member !== MEMBERS[at++]) return false;
  return at === MEMBERS.length;
}

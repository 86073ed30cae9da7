// An event as a socket carries it.

import { publicEvent } from "@outcry/protocol";
import type { RenderedEvent } from "@outcry/ws-gateway";

/** Throws for what is no event; the engine then says that there was one. */
export function renderPublic(data: Uint8Array): RenderedEvent {
  const event = publicEvent(data);
  return { type: event.type, json: JSON.stringify(event) };
}

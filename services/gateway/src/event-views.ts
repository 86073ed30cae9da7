// An event as a socket carries it, by the view that the role has (rights.ts).

import { type Event, type EventData, publicEventJson } from "@outcry/protocol";
import type { RenderedEvent } from "@outcry/ws-gateway";
import type { View } from "./rights.js";

/** Throws for what is no event; the engine then says that there was one. */
export function renderEvent(view: string, data: Uint8Array): RenderedEvent {
  const { event, json } = publicEventJson(data);
  const seen = VIEWS[view as View](event);
  return { type: event.type, json: seen === event ? json : JSON.stringify(seen) };
}

const VIEWS: Readonly<Record<View, (event: Event) => Event>> = { full: (event) => event, buyer: forBuyer };

/** How the marketplace weighs quotes, why a node declined and what it signed are between the two of them. Schemas still hold. */
function forBuyer(event: Event): Event {
  switch (event.type) {
    case "QUOTE_RECEIVED": {
      const data = event.data as EventData<"QUOTE_RECEIVED">;
      return { ...event, data: { ...data, explanation: { ...data.explanation, terms: [] } } };
    }
    case "NODE_RESPONDED": {
      const data = event.data as EventData<"NODE_RESPONDED">;
      const responses = data.responses.map(({ reason: _reason, signature: _signature, ...shown }) => shown);
      return { ...event, data: { ...data, responses } };
    }
    default:
      return event;
  }
}

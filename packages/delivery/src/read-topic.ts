// Reads a whole topic of the event log, in order.

import { type Backbone, readAll } from "@outcry/backbone";
import { type Event, STREAMS } from "@outcry/protocol";

const decoder = new TextDecoder();

export const decodeEvent = (data: Uint8Array): Event => JSON.parse(decoder.decode(data)) as Event;

export async function readTopic(backbone: Backbone, topic: string): Promise<Event[]> {
  const events: Event[] = [];
  for await (const stored of readAll(backbone, STREAMS.events, { filter: topic }))
    events.push(decodeEvent(stored.data));
  return events;
}

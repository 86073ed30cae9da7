// Appends what the topic itself calls for: it is read, what is missing is decided from it, and the append expects that nothing
// came meanwhile. For events whose writers may be several, or may have died: each finds what the others have told.

import { type Appender, type Backbone, EVENT_ID_HEADER, readAll } from "@outcry/backbone";
import { type Event, OutcryError } from "@outcry/protocol";
import { decodeEvent } from "./read-topic.js";

const RETRY_WAIT_MS = 20; // a follower that answers Direct Get may lag behind the leader by about this
const TRIES_MAX = 100; // two seconds against a lively topic

/** Undefined: nothing is missing. Decided anew behind each append, until nothing is. */
export type Decide = (events: readonly Event[]) => Event | undefined;

const encoder = new TextEncoder();

/** Returns the topic's events, with what was appended. */
export async function appendDecided(
  deps: { backbone: Backbone; appender: Appender },
  topic: string,
  decide: Decide,
): Promise<Event[]> {
  const { backbone, appender } = deps;
  const events: Event[] = [];
  let seen = 0;
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    for await (const stored of readAll(backbone, appender.stream, { filter: topic, fromSeq: seen + 1 })) {
      events.push(decodeEvent(stored.data));
      seen = stored.seq;
    }
    const event = decide(events);
    if (event === undefined) return events;
    const written = await appender.append({
      subject: topic,
      data: encoder.encode(JSON.stringify(event)),
      headers: { [EVENT_ID_HEADER]: event.id },
      expectLast: { seq: seen },
    });
    if (written.kind === "appended") tries = 0;
    else if (tries > 0) await new Promise((resolve) => setTimeout(resolve, RETRY_WAIT_MS * Math.random()));
  }
  throw new OutcryError("dependency_unavailable", `nats: ${topic} changed ${TRIES_MAX} times during one append`);
}

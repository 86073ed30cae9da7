// Events of the bench as the broadcast service would append them, numbered, and all as long as each other.

import type { NatsConnection } from "@nats-io/transport-node";
import { type EventData, buildEvent, newId, systemClock, toRfc3339 } from "@outcry/protocol";
import { type Message, storeBatch } from "./store-batch.js";

const FIRST = 1_000_000; // so that all numbers are as long
const NUMBER_MARK = '"attempt":';

export class EventFeed {
  readonly #connection: NatsConnection;
  #last = 0;

  constructor(connection: NatsConnection) {
    this.#connection = connection;
  }

  /** Of the last event that was built. */
  get last(): number {
    return this.#last;
  }

  /** Numbered on from the last one. `answers` in each decide its size: 200 bytes each. */
  build(topic: string, count: number, answers: number): Message[] {
    return Array.from({ length: count }, () => ({ subject: topic, data: this.#eventOf(topic, answers) }));
  }

  /** Stored together, and told to subscribers one behind the other. */
  publish(messages: readonly Message[]): Promise<void> {
    return storeBatch(this.#connection, messages);
  }

  #eventOf(topic: string, answers: number): Uint8Array {
    const number = FIRST + ++this.#last;
    const response = {
      node_id: newId("nod"),
      kind: "ack" as const,
      status: "accepted" as const,
      attempt: number,
      received_at: toRfc3339(systemClock.now()),
    };
    const data: EventData<"NODE_RESPONDED"> = {
      intent_id: topic.slice(topic.lastIndexOf(".") + 1),
      responses: Array.from({ length: answers }, () => response),
    };
    const event = buildEvent("NODE_RESPONDED", data, { topic, traceId: "b".repeat(32) });
    return Buffer.from(JSON.stringify(event));
  }
}

/** Of an event as a subscriber gets it. */
export function numberOf(payload: Buffer): number {
  const at = payload.indexOf(NUMBER_MARK) + NUMBER_MARK.length;
  return Number(payload.toString("latin1", at, at + String(FIRST).length)) - FIRST;
}

// Fills INTENTS and EVENTS with intents that have been and ended, as quickly as the server takes them. A few are made by the real builders
// and encoders; the others are these bytes under other ids, which no reader on the way can tell apart (nobody verifies what is recorded).

import type { NatsConnection } from "@nats-io/transport-node";
import { type EndRecord, encodeRecord, packDeliveries } from "@outcry/delivery";
import {
  type EventData,
  type EventType,
  STREAMS,
  SUBJECTS,
  TOPICS,
  buildEvent,
  derivedId,
  digestOf,
  systemClock,
  toRfc3339,
} from "@outcry/protocol";
import { generateKey } from "@outcry/signing";
import { readIntents } from "../real-intents.js";
import { type Place, connectBare } from "./place.js";
import { prepareIntent } from "./service.js";
import { type Message, storeBatch } from "./store-batch.js";

const TEMPLATES = 100;
const INTENTS_PER_BATCH = 200; // 800 events: the server takes 1,000 messages
const BATCHES_IN_FLIGHT = 4;

export interface FillPlace {
  place: Place;
  backendId: string;
  nodes: string[];
}

/** The id of the n-th intent that was filled in. */
export const filledId = (index: number): string => derivedId("int", "bench fill", String(index));

interface Template {
  id: string;
  intent: Uint8Array;
  end: Uint8Array;
  events: Uint8Array[];
}

export function fillRole() {
  let connection: NatsConnection;
  let templates: Template[];
  let backendId: string;

  const verbs = {
    async start(where: FillPlace): Promise<void> {
      connection = await connectBare(where.place, "fill");
      backendId = where.backendId;
      templates = Array.from({ length: TEMPLATES }, (_, index) => templateOf(index, where));
    },
    /** Intents `from` up to `to`, each with its end and its four events. */
    async fill({ from, to }: { from: number; to: number }): Promise<void> {
      let next = from;
      const lane = async (): Promise<void> => {
        while (next < to) {
          const first = next;
          next = Math.min(to, first + INTENTS_PER_BATCH);
          await fillBatch(first, next);
        }
      };
      await Promise.all(Array.from({ length: BATCHES_IN_FLIGHT }, lane));
    },
    /** Consumers of the record go on behind what was filled in: nobody is to dispatch it. */
    async skipFilled(): Promise<void> {
      for (const durable of ["dispatch", "finish"]) {
        const info = await connection.request(`$JS.API.STREAM.INFO.${STREAMS.intents}`);
        const { last_seq: lastSeq } = info.json<{ state: { last_seq: number } }>().state;
        const reset = JSON.stringify({ seq: lastSeq + 1 });
        const answer = await connection.request(`$JS.API.CONSUMER.RESET.${STREAMS.intents}.${durable}`, reset);
        const { error } = answer.json<{ error?: { description: string } }>();
        if (error !== undefined) throw new Error(`${durable} cannot skip what was filled in: ${error.description}`);
      }
    },
  };

  async function fillBatch(from: number, to: number): Promise<void> {
    const records: Message[] = [];
    const events: Message[] = [];
    for (let index = from; index < to; index++) {
      const template = templates[index % TEMPLATES]!;
      const id = filledId(index);
      const renamed = (data: Uint8Array) => renamedTo(id, template.id, data);
      records.push({ subject: SUBJECTS.intent(id), data: renamed(template.intent) });
      records.push({ subject: SUBJECTS.intentEnd(id), data: renamed(template.end) });
      const topic = TOPICS.intent(backendId, undefined, id);
      for (const event of template.events) events.push({ subject: topic, data: renamed(event) });
    }
    await Promise.all([storeBatch(connection, records), storeBatch(connection, events)]);
  }

  return { verbs, stop: async () => connection?.close() };
}

export type FillVerbs = ReturnType<typeof fillRole>["verbs"];

function templateOf(index: number, { backendId, nodes }: FillPlace): Template {
  const { requests } = readIntents();
  const request = requests[index % requests.length]!;
  const { id, record, intent } = prepareIntent(request, generateKey(), nodes, backendId);
  const end: EndRecord = {
    record_version: 1,
    outcome: "closed",
    quotes_through: 0,
    deliveries: packDeliveries(nodes.map(() => ({ state: "declined" as const, attempts: 1 }))),
  };
  return { id, intent: record, end: encodeRecord(end), events: eventsOf(id, digestOf(intent), backendId, nodes) };
}

function eventsOf(id: string, digest: string, backendId: string, nodes: string[]): Uint8Array[] {
  const topic = TOPICS.intent(backendId, undefined, id);
  const time = toRfc3339(systemClock.now());
  const event = <T extends EventType>(type: T, data: EventData<T>): Uint8Array =>
    new TextEncoder().encode(JSON.stringify(buildEvent(type, data, { topic, traceId: "b".repeat(32) })));
  const created = { intent_id: id, request_digest: digest, targets: nodes.length, quote_deadline: time, line_items: 1 };
  const sent = { intent_id: id, attempt: 1, targets: nodes.length, dispatched: nodes.length };
  const responses = nodes.map((node) => ({
    node_id: node,
    kind: "ack" as const,
    status: "declined" as const,
    reason: "pass",
    attempt: 1,
    received_at: time,
  }));
  const none = { pending: 0, acked: 0, quoted: 0, rejected: 0, timed_out: 0, dead: 0, cancelled: 0 };
  return [
    event("INTENT_CREATED", created),
    event("INTENT_BROADCASTED", sent),
    event("NODE_RESPONDED", { intent_id: id, responses }),
    event("INTENT_CLOSED", { intent_id: id, counts: { ...none, declined: nodes.length } }),
  ];
}

/** The same bytes with each occurrence of one id replaced: ids are as long as each other. */
function renamedTo(id: string, old: string, data: Uint8Array): Buffer {
  const bytes = Buffer.from(data);
  for (let at = bytes.indexOf(old); at >= 0; at = bytes.indexOf(old, at + old.length)) bytes.write(id, at, "latin1");
  return bytes;
}

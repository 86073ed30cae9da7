// Two broadcast processes share the acks, and one of them stands still with its share in its hands until it is killed: the other one
// calls no node dead whose answers went there, and still calls dead who never answers.

import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type EventData, SUBJECTS } from "@outcry/protocol";
import { type Backend, callAs, newBackend } from "./api-calls.js";
import { openRecord, type RecordReader } from "./faults/record.js";
import { eventually, inMs, registerNode } from "./in-process.js";
import { type ProcessStack, startProcesses } from "./processes.js";
import { connectRaw, type Place, type RawNode } from "./raw-node.js";

const INTENTS = 30; // half of an intent's acks go either way: three attempts at each of four nodes are lost fifteen times
const ANSWERING = 4;
const ACK_TIMEOUT_MS = 1_000; // test machines are shared
const TEST_TIMEOUT_MS = 90_000;

let stack: ProcessStack;
let record: RecordReader;
let backend: Backend;
const answering: RawNode[] = [];
let silent: RawNode;

beforeAll(async () => {
  stack = await startProcesses({
    services: { broadcast: 2 },
    env: { OUTCRY_ACK_TIMEOUT_MS: String(ACK_TIMEOUT_MS), OUTCRY_LOG_LEVEL: "warn" },
  });
  record = await openRecord(stack.brokers);
  const admin = callAs(stack.url, stack.adminKey);
  backend = await newBackend(stack.url, admin, "marketplace");
  const place: Place = {
    brokers: stack.brokers,
    as: (secret) => callAs(stack.url, secret),
    register: (description) => registerNode(admin, description),
  };
  silent = await connectRaw(place);
  for (let count = 0; count < ANSWERING; count++) answering.push((await connectRaw(place)).acksAll());
}, TEST_TIMEOUT_MS);
afterAll(async () => {
  await record?.close();
  await stack?.stop();
});

async function deadIn(ids: ReadonlySet<string>): Promise<string[]> {
  const { events } = await record.read();
  return events.flatMap(({ value }) => {
    if (value.type !== "DELIVERY_DEAD_LETTERED") return [];
    const { intent_id, node_ids } = value.data as EventData<"DELIVERY_DEAD_LETTERED">;
    return ids.has(intent_id) ? node_ids.map((node) => SUBJECTS.deadDelivery(intent_id, node)) : [];
  });
}

test(
  "answers that a process which is killed has in its hands do not make their nodes dead",
  async () => {
    const held = stack.service("broadcast", 1);
    held.pause();
    const targets = [...answering, silent].map(({ id }) => id);
    const request = { routing: { targets }, quote_deadline: inMs(100_000) };
    const ids = new Set(await Promise.all(Array.from({ length: INTENTS }, () => backend.broadcast(request))));
    const deathsOfSilent = [...ids].map((id) => SUBJECTS.deadDelivery(id, silent.id));
    const dead = await eventually(async () => {
      const found = await deadIn(ids);
      return deathsOfSilent.every((letter) => found.includes(letter)) && found;
    }, 60_000);
    await held.kill9();
    expect(dead.toSorted()).toEqual(deathsOfSilent.toSorted());
  },
  TEST_TIMEOUT_MS,
);

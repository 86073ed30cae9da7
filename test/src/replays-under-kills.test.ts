// A replay whose processes are killed while it runs: two services on one record, each killed in turn. Every letter is told and
// counted once; only what was in hand at a kill may be on the wire twice, under the same attempt.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type DeadLetterDetail, type EventData, parseDeadLetter, type ReplayView, SUBJECTS } from "@outcry/protocol";
import { type Backend, type Call, callAs, newBackend } from "./api-calls.js";
import { openRecord, type RecordReader } from "./faults/record.js";
import { eventually, inMs, registerNode } from "./in-process.js";
import { type ProcessStack, startProcesses } from "./processes.js";
import { connectRaw, type Place, type RawNode } from "./raw-node.js";

const LETTERS = 60;
const PER_SECOND = 12;
const SLICE_LETTERS = 3; // of a quarter of a second at this rate
const KILLS = 4;
const TEST_TIMEOUT_MS = 120_000;

let stack: ProcessStack;
let record: RecordReader;
let admin: Call;
let backend: Backend;
let steady: RawNode;
let away: RawNode;

beforeAll(async () => {
  stack = await startProcesses({ services: { broadcast: 2 }, env: { OUTCRY_ACK_TIMEOUT_MS: "100" } });
  record = await openRecord(stack.brokers);
  admin = callAs(stack.url, stack.adminKey);
  backend = await newBackend(stack.url, admin, "marketplace");
  const place: Place = {
    brokers: stack.brokers,
    as: (secret) => callAs(stack.url, secret),
    register: (description) => registerNode(admin, description),
  };
  [steady, away] = [(await connectRaw(place)).acksAll(), await connectRaw(place)];
}, TEST_TIMEOUT_MS);
afterAll(async () => {
  await record?.close();
  await stack?.stop();
});

async function deadIntent(): Promise<string> {
  const id = await backend.broadcast({ routing: { targets: [steady.id, away.id] }, quote_deadline: inMs(100_000) });
  const letter = `/v1/dead-letters/${SUBJECTS.deadDelivery(id, away.id)}`;
  await eventually(async () => (await admin<DeadLetterDetail>("GET", letter)).status === 200, 30_000);
  return id;
}

test(
  "a kill -9 of the service in the middle of a replay neither loses nor doubles a letter",
  async () => {
    const ids = await Promise.all(Array.from({ length: LETTERS }, deadIntent));
    const heardBefore = ids.map((id) => away.heardOf("intent", id).length);
    const request = { filter: { node_id: away.id }, rate_per_second: PER_SECOND, reason: "kills" };
    const started = await admin<ReplayView>("POST", "/v1/dead-letters/replays", request);
    expect(started.body).toMatchObject({ matched: LETTERS, valid: LETTERS });

    for (let kill = 0; kill < KILLS; kill++) {
      await sleep(700);
      const service = stack.service("broadcast", kill % 2);
      await service.kill9();
      await service.start();
    }
    const done = await eventually(async () => {
      const answer = await admin<ReplayView>("GET", `/v1/dead-letters/replays/${started.body.id}`);
      return answer.status === 200 && answer.body.status === "done" && answer.body;
    }, 60_000);
    expect(done.progress).toMatchObject({ looked_at: LETTERS, sent: LETTERS, skipped: {} });

    const { events, deadLetters } = await record.read();
    const told = events.flatMap(({ value }) => {
      if (value.type !== "DELIVERY_REPLAYED") return [];
      const { intent_id, attempt } = value.data as EventData<"DELIVERY_REPLAYED">;
      return [`${intent_id} ${attempt}`];
    });
    expect(told.toSorted()).toEqual(ids.map((id) => `${id} 4`).toSorted());
    expect(deadLetters.every(({ subject }) => parseDeadLetter(subject) !== undefined)).toBe(true);

    const again = ids.map((id, at) => away.heardOf("intent", id).slice(heardBefore[at]));
    for (const one of again)
      expect(new Set(one.map(({ headers }) => headers["Outcry-Attempt"]))).toEqual(new Set(["4"]));
    const repeated = again.reduce((sum, one) => sum + one.length - 1, 0);
    console.log(`${KILLS} kills: ${repeated} of ${LETTERS} letters were on the wire twice`);
    expect(repeated).toBeLessThanOrEqual(KILLS * SLICE_LETTERS);
  },
  TEST_TIMEOUT_MS,
);

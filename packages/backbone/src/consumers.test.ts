import { silentLog } from "@outcry/protocol";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { createAppender } from "./append.js";
import type { Backbone } from "./connect.js";
import { runConsumer } from "./consume.js";
import type { RunningConsumer } from "./consume.js";
import type { ConsumedMessage } from "./consume-attempt.js";
import { consumerNames, consumerPlace, deleteConsumer } from "./consumers.js";
import { nextSeqOnLeader } from "./leader-read.js";
import { bytes, eventually, makeStream, sleep, startNats, text } from "./nats-server.fixture.js";
import type { TestServer } from "./nats-server.fixture.js";
import { RetryLater } from "./retry-later.js";

let server: TestServer;
let backbone: Backbone;
const running: RunningConsumer[] = [];
beforeEach(async () => {
  server = await startNats();
  backbone = await server.connect();
  await makeStream(backbone, "T", ["t.>"]);
  const appender = createAppender(backbone, { stream: "T" });
  for (let index = 1; index <= 10; index++)
    await appender.append({ subject: `t.${index % 2}`, data: bytes(String(index)) });
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((consumer) => consumer.stop(100)));
  await server.remove();
});

function consume(handler: (message: ConsumedMessage) => Promise<void>, more: object = {}): RunningConsumer {
  const consumer = runConsumer(backbone, {
    stream: "T",
    durable: "one",
    filters: ["t.*"],
    concurrency: 1,
    deliveryLimit: 5,
    ackWaitMs: 300,
    handler,
    onExhausted: () => Promise.resolve(),
    log: silentLog,
    ...more,
  });
  running.push(consumer);
  return consumer;
}

test("RetryLater: the message comes again then, also after a kill -9 of the server; the ones behind pass it", async () => {
  const seen: { what: string; atMs: number }[] = [];
  const delayMs = 4_000;
  consume(async ({ stored, deliveryCount }) => {
    seen.push({ what: `${text(stored.data)}:${deliveryCount}`, atMs: Date.now() });
    if (text(stored.data) === "3" && deliveryCount === 1) throw new RetryLater(delayMs);
  });
  await eventually(() => seen.length === 10);
  await eventually(async () => (await consumerPlace(backbone, "T", "one"))?.inHand === 1);
  await sleep(1_000); // the server writes a consumer's place down a little later: a kill before it would repeat, not lose
  await server.kill9();
  await server.restart();
  await eventually(() => seen.length === 11);
  const first = Array.from({ length: 10 }, (_, index) => `${index + 1}:1`);
  expect(seen.map(({ what }) => what)).toEqual([...first, "3:2"]);
  expect(seen[10]!.atMs - seen[2]!.atMs).toBeGreaterThan(delayMs - 1_000); // whole seconds on its disk
});

test("waiting messages are bounded: beyond that nothing new comes", async () => {
  const seen: string[] = [];
  const handler = async ({ stored }: ConsumedMessage) => {
    seen.push(text(stored.data));
    throw new RetryLater(60_000);
  };
  consume(handler, { ackPendingMax: 4 });
  await eventually(async () => (await consumerPlace(backbone, "T", "one"))?.inHand === 4);
  expect(seen).toEqual(["1", "2", "3", "4"]);
  expect(await consumerPlace(backbone, "T", "one")).toEqual({ nextSeq: 1, deliveredSeq: 4, waiting: 6, inHand: 4 });
});

test("begins at a sequence, is listed, and is deleted with its place", async () => {
  const seen: string[] = [];
  const handler = async ({ stored }: ConsumedMessage) => void seen.push(text(stored.data));
  const consumer = consume(handler, { startSeq: 7, filters: ["t.0"] });
  await eventually(() => seen.length === 2);
  expect(seen).toEqual(["8", "10"]);
  await eventually(async () => (await consumerPlace(backbone, "T", "one"))?.nextSeq === 11);
  expect(await consumerNames(backbone, "T")).toEqual(["one"]);
  await consumer.stop();
  await deleteConsumer(backbone, "T", "one");
  await deleteConsumer(backbone, "T", "one");
  expect(await consumerPlace(backbone, "T", "one")).toBeUndefined();
  expect(await consumerNames(backbone, "T")).toEqual([]);
});

test("the leader says what comes next, and that nothing does", async () => {
  expect(await nextSeqOnLeader(backbone, "T", { seq: 1, filter: "t.0" })).toBe(2);
  expect(await nextSeqOnLeader(backbone, "T", { seq: 10, filter: "t.0" })).toBe(10);
  expect(await nextSeqOnLeader(backbone, "T", { seq: 10, filter: "t.1" })).toBeUndefined();
  expect(await nextSeqOnLeader(backbone, "T", { seq: 11, filter: "t.>" })).toBeUndefined();
});

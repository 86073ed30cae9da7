import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import type { RedisStore } from "./connect.js";
import { eventually, startTestRedis, type TestRedis } from "./redis-server.fixture.js";
import { type AttemptBatch, createWebhookTable, type WebhookTable } from "./webhook-table.js";

let redis: TestRedis;
let store: RedisStore;
let table: WebhookTable;
beforeAll(async () => {
  redis = await startTestRedis();
  store = await redis.connect();
  table = createWebhookTable(store);
});
beforeEach(() => store.client.flushall());
afterAll(() => redis.remove());

test("workers are those that were heard of lately; one that leaves is gone at once", async () => {
  expect(await table.beat("one")).toEqual(["one"]);
  expect((await table.beat("two")).toSorted()).toEqual(["one", "two"]);
  await table.leave("one");
  expect(await table.beat("two")).toEqual(["two"]);
  await table.beat("silent");
  await eventually(async () => (await table.beat("two")).length === 1, 8_000);
}, 10_000);

test("a webhook is one worker's until it lets go or falls silent", async () => {
  expect(await table.claim("one", ["a", "b"])).toEqual([true, true]);
  expect(await table.claim("two", ["a", "c"])).toEqual([false, true]);
  expect(await table.claim("one", ["a"])).toEqual([true]);
  await table.release("two", "a"); // not its own
  expect(await table.claim("two", ["a"])).toEqual([false]);
  await table.release("one", "a");
  expect(await table.claim("two", ["a"])).toEqual([true]);
  expect(await table.claim("one", [])).toEqual([]);
  expect(await store.client.pttl("webhook:claim:b")).toBeGreaterThan(4_000);
});

const OPTIONS = { keep: 5, nowMs: 1_000, silenceMs: 60_000 };
const add = async (webhookId: string, attempts: string[], verdict: AttemptBatch["verdict"], nowMs = OPTIONS.nowMs) =>
  (await table.addAttempts([{ webhookId, attempts, verdict }], { ...OPTIONS, nowMs }))[0];

test("attempts are kept newest first, as many as asked, until the webhook is forgotten", async () => {
  await add("a", ["0", "1", "2"], "none");
  await add("a", ["3", "4", "5", "6"], "none");
  expect(await table.attempts("a", 10)).toEqual(["6", "5", "4", "3", "2"]);
  expect(await table.attempts("a", 2)).toEqual(["6", "5"]);
  await table.claim("one", ["a"]);
  await table.forget("a");
  expect(await table.attempts("a", 10)).toEqual([]);
  expect(await table.claim("two", ["a"])).toEqual([true]);
});

test("failures alone have a beginning, which one delivery or a silence ends, and a test call does not", async () => {
  expect(await add("a", ["x"], "delivered")).toBeUndefined();
  expect(await table.failingSinceMs("a")).toBeUndefined();
  expect(await add("a", ["x"], "failed", 2_000)).toBe(2_000);
  expect(await add("a", ["x"], "none", 3_000)).toBeUndefined();
  expect(await add("a", ["x"], "failed", 4_000)).toBe(2_000);
  expect(await table.failingSinceMs("a")).toBe(2_000);
  expect(await store.client.pttl("webhook:failing:a")).toBeGreaterThan(OPTIONS.silenceMs - 5_000);
  expect(await add("a", ["x"], "delivered", 5_000)).toBeUndefined();
  expect(await add("a", ["x"], "failed", 6_000)).toBe(6_000);
  const two = [
    { webhookId: "b", attempts: ["x"], verdict: "failed" },
    { webhookId: "a", attempts: ["y"], verdict: "failed" },
  ] as const;
  expect(await table.addAttempts(two, { ...OPTIONS, nowMs: 7_000 })).toEqual([7_000, 6_000]);
  expect(await table.addAttempts([], OPTIONS)).toEqual([]);
});

test("failures of an event are one consumer's, until they are forgotten", async () => {
  expect(await table.failures("a-1", 7)).toBeUndefined();
  await table.setFailures("a-1", 7, { count: 2, cause: "answered 500" });
  expect(await table.failures("a-1", 7)).toEqual({ count: 2, cause: "answered 500" });
  expect([await table.failures("a-2", 7), await table.failures("a-1", 8)]).toEqual([undefined, undefined]);
  expect(await store.client.pttl("webhook:failures:a-1")).toBeGreaterThan(0);
  await table.forgetFailures("a-1", 7);
  expect(await table.failures("a-1", 7)).toBeUndefined();
});

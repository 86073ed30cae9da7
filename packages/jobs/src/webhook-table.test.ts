import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import type { RedisStore } from "./connect.js";
import { eventually, startTestRedis, type TestRedis } from "./redis-server.fixture.js";
import { createWebhookTable, type WebhookTable } from "./webhook-table.js";

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

test("attempts are kept newest first, as many as asked, until the webhook is forgotten", async () => {
  for (let index = 0; index < 7; index++) await table.addAttempt("a", String(index), 5);
  expect(await table.attempts("a", 10)).toEqual(["6", "5", "4", "3", "2"]);
  expect(await table.attempts("a", 2)).toEqual(["6", "5"]);
  await table.claim("one", ["a"]);
  await table.forget("a");
  expect(await table.attempts("a", 10)).toEqual([]);
  expect(await table.claim("two", ["a"])).toEqual([true]);
});

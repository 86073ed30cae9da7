// Redis loses everything while intents are recorded and not dispatched yet: nothing is sent ahead of its first event, or behind its end.

import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type IntentView, STREAMS } from "@outcry/protocol";
import { Redis } from "ioredis";
import { anIntent, type Backend } from "./api-calls.js";
import { eventually, inMs, type Market, startMarket } from "./in-process.js";
import { connectRaw, type RawNode } from "./raw-node.js";

let market: Market;
let backend: Backend;
let node: RawNode;
let redis: Redis;

beforeAll(async () => {
  market = await startMarket({ ackTimeoutMs: 500 });
  backend = await market.backend();
  node = await connectRaw(market, { categories: ["quiet"] });
  redis = new Redis(market.brokers.redis.url);
});
afterAll(async () => {
  await redis.quit();
  await market.stop();
});

/** As a dispatcher that is slow, or has died: nothing comes to it for so long. */
const holdDispatch = (ms: number) =>
  market.manager.consumers.pause(STREAMS.intents, "dispatch", new Date(Date.now() + ms));
const post = () => backend.broadcast({ ...anIntent, quote_deadline: inMs(20_000), routing: { targets: [node.id] } });
const rebuilt = async () => {
  await redis.flushall();
  await eventually(async () => (await redis.keys("*run")).length > 0);
};
const typesOf = async (id: string) => (await market.eventsOf(id)).map(({ type }) => type);

test("an intent that is not told yet gets no row, and so no attempt, before its dispatcher tells it", async () => {
  await holdDispatch(4_000);
  const id = await post();
  await rebuilt();
  await node.hears(id);
  const [first, second] = await eventually(async () => {
    const types = await typesOf(id);
    return types.length > 1 && types;
  });
  expect([first, second]).toEqual(["INTENT_CREATED", "INTENT_BROADCASTED"]);
  expect(node.heardOf("intent", id)[0]!.headers["Outcry-Attempt"]).toBe("1");
});

test("an intent that ended before is not sent to anyone, and its row is a tombstone again", async () => {
  await holdDispatch(800);
  const id = await post();
  const ended = await backend.call("POST", `/v1/intents/${id}/cancel`, { reason: "too slow" });
  expect(ended.status).toBeLessThan(300);
  await market.ended(backend, id);
  await rebuilt();
  await eventually(async () => {
    const { num_pending, num_ack_pending } = await market.manager.consumers.info(STREAMS.intents, "dispatch");
    return num_pending + num_ack_pending === 0;
  });
  await eventually(async () => (await redis.hkeys((await redis.keys(`*dlv:${id}`))[0]!)).join() === "x");
  expect(node.heardOf("intent", id)).toEqual([]);
  expect(await typesOf(id)).toEqual(["INTENT_CREATED", "INTENT_CANCELLED"]);
  expect((await backend.call<IntentView>("GET", `/v1/intents/${id}`)).body.status).toBe("cancelled");
});

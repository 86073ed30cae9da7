// Each mode of the fake peer, as the market sees it.

import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import {
  type FakeNode,
  fakeNode,
  type FakeNodeMode,
  type FakeNodeOptions,
  startTestMarket,
  type TestMarket,
} from "./index.js";

let market: TestMarket;
let node: FakeNode;

beforeAll(async () => {
  market = await startTestMarket({ env: process.env });
});
afterEach(() => node.stop());
afterAll(() => market.stop());

async function sendTo(mode: FakeNodeMode, options: Partial<FakeNodeOptions> = {}) {
  node = await fakeNode({ market, mode, ...options });
  return market.send({}, { to: node.id });
}

test("ok acks and quotes, anew for each copy", async () => {
  const sent = await sendTo("ok", { amountMinor: 1_234 });
  expect(await sent.ack()).toMatchObject({ status: "accepted", attempt: 1 });
  expect((await sent.nextQuote()).payload.total.amount_minor).toBe(1_234);
  await market.again(sent);
  await sent.ack();
  expect(node.heard).toHaveLength(2);
  expect(node.answers[0]).toMatchObject({ kind: "stored", digest: sent.quotes[0]!.digest });
});

test("slow does the same later", async () => {
  const sent = await sendTo("slow", { delayMs: 200 });
  await expect(sent.ack(100)).rejects.toThrow("slow is pending");
  await sent.nextQuote();
});

test("silent hears and says nothing", async () => {
  const sent = await sendTo("silent");
  await expect(sent.ack(100)).rejects.toThrow("silent is pending");
  expect(node.heard).toMatchObject([{ id: sent.id }]);
});

test("forged gets its quote stored and then refused", async () => {
  const sent = await sendTo("forged");
  await expect(sent.nextQuote()).rejects.toMatchObject({ code: "signature_invalid" });
  expect(sent.states).toEqual({ [node.id]: "acked" });
});

test("declining gives a reason", async () => {
  const sent = await sendTo("declining");
  expect(await sent.ack()).toMatchObject({ status: "declined", reason: "no_inventory" });
  expect(await sent.settled()).toEqual({ [node.id]: "declined" });
});

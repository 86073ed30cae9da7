// From start to drain, against a real nats-server and a service peer that answers as told.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { type ThrowawayNats, throwawayNats } from "@outcry/servers";
import { eventually } from "./eventually.fixture.js";
import { Market, stored } from "./market.fixture.js";

let nats: ThrowawayNats;
let market: Market;

beforeAll(async () => {
  nats = await throwawayNats();
});
afterAll(() => nats.remove());
beforeEach(async () => {
  market = await new Market(nats.url).open();
});
afterEach(() => market.close());

const acksOf = (id: string) =>
  market.acks.filter((ack) => ack.intent === id).map(({ status, reason, attempt }) => ({ status, reason, attempt }));

describe("the life of a node", () => {
  test("drains: takes nothing new, finishes handlers and unconfirmed quotes, then closes", async () => {
    const { node, nodeId } = market.node();
    market.rule = (quote, nth) =>
      nth === 0 ? { kind: "refused", code: "x", detail: "", temporary: true } : stored(quote, nth);
    await node
      .onIntent(async (_, ctx) => {
        await sleep(150);
        return ctx.quote({ amountMinor: 990 });
      })
      .start();
    const intent = market.intent();
    await market.send(nodeId, intent);
    await eventually(() => node.health().running === 1);
    const drained = node.drain();
    expect(node.drain()).toBe(drained);
    const late = market.intent();
    await market.send(nodeId, late);
    expect(await drained).toEqual({ abandoned: 0 });
    expect(node.health()).toMatchObject({ state: "closed", connected: false, counters: { quotesStored: 1 } });
    expect(acksOf(late.id)).toEqual([]);
  });

  test("a drain that runs out of time aborts what is left and says so", async () => {
    const { node, nodeId } = market.node();
    let reason: unknown;
    await node
      .onIntent(async (_, ctx) => {
        ctx.signal.addEventListener("abort", () => void (reason = ctx.signal.reason));
        await sleep(60_000, undefined, { ref: false });
      })
      .start();
    const intent = market.intent();
    await market.send(nodeId, intent);
    await eventually(() => node.health().running === 1);
    expect(await node.drain({ timeoutMs: 50 })).toEqual({ abandoned: 1 });
    expect(String(reason)).toContain("the node is stopping");
    await eventually(() => acksOf(intent.id).length === 2);
    expect(acksOf(intent.id).at(-1)).toEqual({ status: "declined", reason: "capacity", attempt: 1 });
  });

  test("a handler that ignores its deadline does not hold its slot", async () => {
    const { node, nodeId } = market.node({ concurrency: 1 });
    await node
      .onIntent(async (intent, ctx) => {
        if (intent.payload.description === "stuck") await sleep(60_000, undefined, { ref: false });
        return ctx.quote({ amountMinor: 990 });
      })
      .start();
    await market.send(nodeId, market.intent({ description: "stuck" }, 300), { timeLeftMs: 300 });
    await market.send(nodeId, market.intent());
    await eventually(() => node.health().counters.quotesStored === 1);
  });

  test("starts when NATS comes up later, and stops waiting when it is drained", async () => {
    await nats.kill9();
    const [patient, resigned] = [market.node(), market.node()];
    const starting = patient.node.onIntent((_, ctx) => ctx.decline()).start();
    const given = resigned.node.onIntent((_, ctx) => ctx.decline()).start();
    await sleep(50);
    await resigned.node.drain();
    await expect(given).rejects.toThrow("stopping");
    await nats.restart();
    expect(await starting).toEqual({ nodeId: patient.nodeId });
  });
});

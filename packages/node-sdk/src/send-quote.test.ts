// A quote until it is stored, and what a cancel ends; against a real nats-server and a service peer that answers as told.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { digestOf, newId, type QuoteNotice, quoteId } from "@outcry/protocol";
import { type ThrowawayNats, throwawayNats } from "@outcry/servers";
import { generateKey } from "@outcry/signing";
import { eventually } from "./eventually.fixture.js";
import { Market, silent, stored } from "./market.fixture.js";
import type { QuoteReport } from "./options.js";

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

describe("a quote", () => {
  test("is repeated with the same bytes through silence, temporary refusals and nonsense until it is stored", async () => {
    const { node, nodeId } = market.node({ random: () => 0.1 });
    market.rule = (quote, nth) => {
      if (nth === 0) return { kind: "refused", code: "dependency_unavailable", detail: "", temporary: true };
      if (nth === 1) return { kind: "maybe" } as never;
      if (nth === 2) return { kind: "stored", quote_id: newId("quo"), digest: digestOf(new Uint8Array()) };
      return nth === 3 ? undefined : stored(quote, nth);
    };
    await node.onIntent((_, ctx) => ctx.quote({ amountMinor: 990 })).start();
    await market.send(nodeId, market.intent());
    await eventually(() => node.health().counters.quotesStored === 1);
    expect(market.quotes).toHaveLength(5);
    expect(new Set(market.quotes.map(({ text, signature }) => `${text} ${signature}`)).size).toBe(1);
    expect(node.health().unconfirmedQuotes).toBe(0);
  });

  test("goes out again at once when its intent is delivered again", async () => {
    const { node, nodeId } = market.node({ random: () => 1 }); // waits as long as it may
    market.rule = (quote, nth) =>
      nth < 5 ? { kind: "refused", code: "x", detail: "", temporary: true } : stored(quote, nth);
    await node.onIntent((_, ctx) => ctx.quote({ amountMinor: 990 })).start();
    const intent = market.intent();
    await market.send(nodeId, intent);
    await eventually(() => market.quotes.length === 5); // the next wait is 1.6 s
    const from = Date.now();
    await sleep(20);
    await market.send(nodeId, intent, { attempt: 2 });
    await eventually(() => node.health().counters.quotesStored === 1);
    expect(Date.now() - from).toBeLessThan(1_200); // by itself after 1.6 s
    expect(node.health().counters.duplicates).toBe(1);
  });

  test("ends with a final refusal, and the service's later word arrives as a notice", async () => {
    const { node, nodeId } = market.node();
    const reports: QuoteReport[] = [];
    const notices: QuoteNotice[] = [];
    node.on("quote", (report) => reports.push(report)).on("notice", (notice) => notices.push(notice));
    market.rule = () => ({ kind: "refused", code: "intent_ended", detail: "too late", temporary: false });
    await node.onIntent((_, ctx) => ctx.quote({ amountMinor: 990 })).start();
    const intent = market.intent();
    await market.send(nodeId, intent);
    await eventually(() => reports.length === 1);
    expect(reports[0]).toEqual({
      intentId: intent.id,
      quoteId: quoteId(intent.id, nodeId, 0),
      outcome: { kind: "refused", code: "intent_ended", detail: "too late" },
    });
    await market.notice(nodeId, { nonsense: true });
    const notice = {
      type: "quote_refused",
      intent_id: intent.id,
      quote_id: reports[0]!.quoteId,
      code: "quote_late",
    } as const;
    await market.notice(nodeId, notice);
    await eventually(() => notices.length === 1);
    expect(notices).toEqual([notice]);
    expect(market.quotes).toHaveLength(1);
  });

  test("is unconfirmed when the deadline comes first", async () => {
    const { node, nodeId } = market.node();
    const reports: QuoteReport[] = [];
    node.on("quote", (report) => reports.push(report));
    market.rule = () => ({ kind: "refused", code: "x", detail: "", temporary: true });
    await node.onIntent((_, ctx) => ctx.quote({ amountMinor: 990 })).start();
    await market.send(nodeId, market.intent({}, 400), { timeLeftMs: 400 });
    await eventually(() => reports.length === 1);
    expect(reports[0]!.outcome).toEqual({ kind: "unconfirmed" });
  });

  test("survives kill -9 of the NATS server while it waits for its answer", async () => {
    const { node, nodeId } = market.node();
    const states: string[] = [];
    node.on("status", ({ state }) => states.push(state));
    market.rule = silent;
    await node.onIntent((_, ctx) => ctx.quote({ amountMinor: 990 })).start();
    await market.send(nodeId, market.intent());
    await eventually(() => market.quotes.length >= 1);
    await nats.kill9();
    await eventually(() => states.includes("disconnected"));
    market.rule = stored;
    await nats.restart();
    await eventually(() => node.health().counters.quotesStored === 1);
    expect(new Set(market.quotes.map(({ text }) => text)).size).toBe(1);
    const next = market.intent();
    await market.send(nodeId, next);
    await eventually(() => node.health().counters.quotesStored === 2);
    expect(states).toEqual(["starting", "connected", "disconnected", "connected"]);
  });
});

describe("a cancel", () => {
  test("aborts the handler, ends its quoting and is told once", async () => {
    const { node, nodeId } = market.node();
    const told: unknown[] = [];
    const reports: QuoteReport[] = [];
    market.rule = () => ({ kind: "refused", code: "x", detail: "", temporary: true });
    node.on("quote", (report) => reports.push(report));
    let aborted: unknown;
    await node
      .onIntent(async (intent, ctx) => {
        if (intent.payload.description !== "slow") return ctx.quote({ amountMinor: 5 });
        await new Promise<void>((resolve) => ctx.signal.addEventListener("abort", () => resolve()));
        aborted = ctx.signal.reason;
        return ctx.quote({ amountMinor: 1 });
      })
      .onCancel((cancel) => void told.push(cancel))
      .start();
    const [slow, quoting] = [market.intent({ description: "slow" }), market.intent()];
    await market.send(nodeId, slow);
    await market.send(nodeId, quoting);
    await eventually(() => market.quotes.length > 0);
    await market.cancel(nodeId, slow, "forged", { key: generateKey() });
    for (const intent of [slow, quoting, quoting]) await market.cancel(nodeId, intent, "changed my mind");
    await eventually(() => told.length === 2 && reports.length === 1);
    expect(told).toEqual([slow, quoting].map(({ id }) => ({ intentId: id, reason: "changed my mind", open: true })));
    expect(String(aborted)).toContain("cancelled: changed my mind");
    expect(reports[0]).toMatchObject({ intentId: quoting.id, outcome: { kind: "cancelled" } });
    expect(market.quotes.every(({ quote }) => quote.in_reply_to === quoting.id)).toBe(true);
    await eventually(() => node.health().running === 0);
    expect(acksOf(slow.id)).toEqual([{ status: "accepted", reason: undefined, attempt: 1 }]);
  });

  test("that overtakes its intent keeps it from being taken", async () => {
    const { node, nodeId } = market.node();
    let handled = 0;
    await node.onIntent(() => void handled++).start();
    const intent = market.intent();
    await market.cancel(nodeId, intent, "changed my mind");
    await market.send(nodeId, intent);
    const next = market.intent();
    await market.send(nodeId, next);
    await eventually(() => acksOf(next.id).length === 2);
    expect(acksOf(intent.id)).toEqual([]);
    expect(acksOf(next.id).at(-1)).toMatchObject({ status: "declined", reason: "pass" });
    expect(handled).toBe(1);
  });
});

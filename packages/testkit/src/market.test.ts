// The SDK's node at a test market, over a real nats-server named by OUTCRY_NATS_SERVER.

import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { createNode, type IntentHandler, type SellerNode } from "@outcry/node";
import { canonicalize, type Notice, type Quote } from "@outcry/protocol";
import { signEnvelope } from "@outcry/signing";
import { type Seat, startTestMarket, type TestMarket } from "./index.js";

let market: TestMarket;
let nodes: SellerNode[] = [];

beforeEach(async () => {
  market = await startTestMarket({ env: process.env });
});
afterEach(async () => {
  await Promise.all(nodes.map((node) => node.drain({ timeoutMs: 100 })));
  nodes = [];
  await market.stop();
});

async function seller(handler: IntentHandler, seat: Seat = market.connection()): Promise<SellerNode> {
  const node = createNode(seat).onIntent(handler);
  nodes.push(node);
  await node.start();
  return node;
}

const bagFor =
  (amountMinor: number): IntentHandler =>
  (_, ctx) =>
    ctx.quote({ amountMinor });

describe("a sent intent", () => {
  test("is acknowledged, quoted and settled; the node hears that its quote counts", async () => {
    const node = await seller(bagFor(990));
    const noticed = new Promise<Notice>((resolve) => node.on("notice", resolve));
    const sent = await market.send({ budget: { max_minor: 5_000 } });
    expect(await sent.ack()).toMatchObject({ status: "accepted", attempt: 1 });
    expect((await sent.nextQuote()).payload.total).toEqual({ amount_minor: 990, currency: "EUR" });
    expect(Object.values(await sent.settled())).toEqual(["quoted"]);
    expect(sent.refusals).toEqual([]);
    expect(await noticed).toMatchObject({ type: "quote_ranked", intent_id: sent.id });
  });

  test("carries the attempt, the time left and the trace", async () => {
    const seen: unknown[] = [];
    await seller((_, ctx) => {
      seen.push(ctx.attempt, ctx.remainingMs() <= 700, ctx.traceparent, ctx.requestId);
    });
    const sent = await market.send({}, { attempt: 3, timeLeftMs: 700 });
    await sent.settled();
    expect(seen).toEqual([3, true, sent.traceparent, sent.requestId]);
  });

  test("goes to the nodes that are named, or to all", async () => {
    const [one, two] = [market.connection("one"), market.connection("two")];
    await seller(bagFor(1), one);
    await seller((_, ctx) => ctx.decline("no_inventory"), two);
    const toAll = await market.send();
    expect(await toAll.settled()).toEqual({ [one.id]: "quoted", [two.id]: "declined" });
    const toOne = await market.send({}, { to: "two" });
    expect(await toOne.settled()).toEqual({ [two.id]: "declined" });
    await expect(market.send({}, { to: "three" })).rejects.toThrow("three");
  });

  test("handled once when it is delivered twice, and the second time acknowledged again", async () => {
    let handled = 0;
    await seller((_, ctx) => {
      handled++;
      return ctx.quote({ amountMinor: 990 });
    });
    const sent = await market.send();
    await sent.nextQuote();
    await market.again(sent);
    expect(await sent.ack()).toMatchObject({ status: "accepted", attempt: 2 });
    expect(handled).toBe(1);
    expect(sent.quotes).toHaveLength(1);
  });

  test("amended: quoted anew on the new terms, and a quote on the earlier ones is superseded", async () => {
    await seller((intent, ctx) => ctx.quote({ amountMinor: intent.payload.budget?.max_minor ?? 990 }));
    const sent = await market.send({ budget: { max_minor: 500 } });
    expect((await sent.nextQuote()).payload.total.amount_minor).toBe(500);
    const amended = await market.amend(sent, { budget: { max_minor: 700 } });
    expect(await amended.nextQuote()).toMatchObject({
      request_digest: amended.digest,
      payload: { revision: 1, ordinal: 0, total: { amount_minor: 700 } },
    });
    expect(await amended.settled()).toEqual(Object.fromEntries(amended.targets.map((id) => [id, "quoted"])));
  });

  test("cancelled: the handler's signal is aborted and onCancel told", async () => {
    const cancelled: unknown[] = [];
    let aborted = false;
    const node = createNode(market.connection())
      .onIntent(async (_, ctx) => {
        await sleep(60_000, undefined, { signal: ctx.signal }).catch(() => (aborted = ctx.signal.aborted));
      })
      .onCancel((cancel) => void cancelled.push(cancel));
    nodes.push(node);
    await node.start();
    const sent = await market.send();
    await sent.ack();
    await market.cancel(sent, "found it elsewhere");
    await node.drain();
    expect(aborted).toBe(true);
    expect(cancelled).toEqual([{ intentId: sent.id, reason: "found it elsewhere", open: true }]);
    expect(Object.values(await sent.settled())).toEqual(["cancelled"]);
  });
});

describe("an intent that must not be served", () => {
  let handled = 0;
  const count: IntentHandler = () => void handled++;
  beforeEach(() => {
    handled = 0;
  });

  test("a forged one is rejected and not handled", async () => {
    const node = await seller(count);
    const faults: unknown[] = [];
    node.on("error", ({ error }) => faults.push(error));
    const forged = await market.forge();
    expect(await forged.ack()).toMatchObject({ status: "rejected", reason: "invalid_intent" });
    expect(faults).toMatchObject([{ code: "signature_invalid" }]);
    expect(handled).toBe(0);
  });

  test("an expired one is declined as too late", async () => {
    await seller(count);
    expect(await (await market.expired()).ack()).toMatchObject({ status: "declined", reason: "too_late" });
    expect(handled).toBe(0);
  });
});

describe("a quote", () => {
  test("is repeated in the same bytes until it is answered, and counts once", async () => {
    const node = await seller(bagFor(990));
    const told = new Promise((resolve) => node.on("quote", resolve));
    market.dropQuoteAnswers(1);
    const sent = await market.send();
    await sent.nextQuote();
    expect(await told).toMatchObject({ outcome: { kind: "stored", digest: sent.quotes[0]!.digest } });
    expect(sent.quotes).toMatchObject([{ copies: 2 }]);
  });

  test("that a restarted node makes anew is the one that is stored already", async () => {
    const first = await seller(bagFor(990));
    const sent = await market.send();
    const quote = await sent.nextQuote();
    await first.drain();
    const second = await seller(bagFor(990));
    const told = new Promise((resolve) => second.on("quote", resolve));
    await market.again(sent);
    const { digest } = sent.quotes[0]!;
    expect(await told).toMatchObject({ quoteId: quote.id, outcome: { kind: "stored", digest } });
    expect(sent.quotes).toHaveLength(1);
  });

  test.each([
    ["quote_currency_mismatch", (quote: Quote) => void (quote.payload.total.currency = "USD")],
    ["quote_total_mismatch", (quote: Quote) => void quote.payload.total.amount_minor++],
    ["quote_digest_mismatch", (quote: Quote) => void (quote.request_digest = `sha256:${"A".repeat(43)}`)],
    ["quote_audience_mismatch", (quote: Quote) => void (quote.audience = "elsewhere")],
    ["quote_validity_ended", (quote: Quote) => void (quote.payload.valid_until = "2020-01-01T00:00:00.000Z")],
    ["quote_line_item_unknown", (quote: Quote) => void (quote.payload.line_items[0]!.line_item_id = "item-9")],
  ])("is stored and refused with %s, and nextQuote() says so", async (code, change) => {
    const { key, id } = market.connection();
    const node = await seller((_, ctx) => {
      const reply = ctx.quote({ amountMinor: 990 });
      change(reply.quote);
      const bytes = canonicalize(reply.quote);
      const headers = { "Outcry-Signature": signEnvelope(bytes, "quote", key).jws };
      return { ...reply, signed: { ...reply.signed, bytes, headers } };
    });
    const noticed = new Promise<Notice>((resolve) => node.on("notice", resolve));
    const sent = await market.send();
    await expect(sent.nextQuote()).rejects.toMatchObject({ code });
    expect(await noticed).toMatchObject({ type: "quote_refused", code });
    expect(sent.refusals).toMatchObject([{ nodeId: id, answer: "quote", code }]);
    expect(sent.quotes).toEqual([]);
  });

  test("that is not canonical is refused at once", async () => {
    const node = await seller((_, ctx) => {
      const reply = ctx.quote({ amountMinor: 990 });
      return { ...reply, signed: { ...reply.signed, bytes: Buffer.from(JSON.stringify(reply.quote, null, 1)) } };
    });
    const told = new Promise((resolve) => node.on("quote", resolve));
    const sent = await market.send();
    await expect(sent.nextQuote()).rejects.toMatchObject({ code: "json_not_canonical" });
    expect(await told).toMatchObject({ outcome: { kind: "refused", code: "json_not_canonical" } });
  });
});

describe("waiting", () => {
  test("ends at once when everybody has declined, and says who and why", async () => {
    await seller((_, ctx) => ctx.decline("no_inventory"), market.connection("shop"));
    const sent = await market.send();
    await expect(sent.nextQuote(60_000)).rejects.toThrow("shop is declined (no_inventory)");
  });

  test("ends after its time with what is known", async () => {
    await seller(() => sleep(60_000, undefined, { ref: false }), market.connection("shop"));
    const sent = await market.send();
    await sent.ack();
    await expect(sent.settled(20)).rejects.toThrow("not settled within 20 ms: shop is acked");
  });
});

test("a killed and restarted server is survived: the node is back, its open quote gets through", async () => {
  let release!: () => void;
  const released = new Promise<void>((resolve) => (release = resolve));
  await seller(async (_, ctx) => {
    await released;
    return ctx.quote({ amountMinor: 990 });
  });
  const before = await market.send();
  await before.ack();
  await market.restartServer();
  release();
  expect((await before.nextQuote()).payload.total.amount_minor).toBe(990);
  const after = await market.send();
  expect((await after.nextQuote()).in_reply_to).toBe(after.id);
});

// A node against a real nats-server and a service peer that answers as told.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { canonicalize, digestOf, newId, type Notice, Quote, quoteId, check, toRfc3339 } from "@outcry/protocol";
import { generateKey, keySource, signEnvelope, verificationKey, verifyEnvelope } from "@outcry/signing";
import { Market, silent, stored } from "./market.fixture.js";
import { eventually, startTestNats, type TestNats } from "./nats-server.fixture.js";
import type { NodeFault, QuoteReport } from "./options.js";

let nats: TestNats;
let market: Market;

beforeAll(async () => {
  nats = await startTestNats();
});
afterAll(() => nats.remove());
beforeEach(async () => {
  market = await new Market(nats).open();
});
afterEach(() => market.close());

const acksOf = (id: string) =>
  market.acks.filter((ack) => ack.intent === id).map(({ status, reason, attempt }) => ({ status, reason, attempt }));

describe("an intent's way", () => {
  test("is acknowledged before the handler has decided, then quoted with a signature bound to its bytes", async () => {
    const { node, nodeId, key } = market.node();
    let decide!: () => void;
    const decided = new Promise<void>((resolve) => (decide = resolve));
    await node
      .onIntent(async (intent, ctx) => {
        await decided;
        return ctx.quote({ lineItems: [{ lineItemId: intent.payload.line_items[0]!.id, unitAmountMinor: 1_250 }] });
      })
      .start();
    const intent = market.intent();
    await market.send(nodeId, intent, { headers: { traceparent: "00-trace-01", "X-Request-Id": "req_1" } });
    await eventually(() => market.acks.length === 1);
    expect(market.acks[0]).toMatchObject({
      node: nodeId,
      intent: intent.id,
      status: "accepted",
      request_digest: digestOf(canonicalize(intent)),
    });
    expect(market.quotes).toHaveLength(0);
    decide();
    await eventually(() => node.health().counters.quotesStored === 1);
    const [seen] = market.quotes;
    expect(seen).toMatchObject({ node: nodeId, traceparent: "00-trace-01", requestId: "req_1" });
    expect(check(Quote, seen!.quote).kind).toBe("ok");
    expect(seen!.quote).toMatchObject({
      id: quoteId(intent.id, nodeId, 0),
      request_digest: digestOf(canonicalize(intent)),
      in_reply_to: intent.id,
    });
    expect(seen!.quote.payload.total).toEqual({ amount_minor: 2_500, currency: "EUR" });
    const verdict = verifyEnvelope(seen!.bytes, seen!.signature, keySource([verificationKey(key, nodeId)]));
    expect(verdict.kind).toBe("verified");
  });

  test("is handled once however often it is delivered, and each delivery is acknowledged under its own attempt", async () => {
    const { node, nodeId } = market.node();
    let handled = 0;
    await node
      .onIntent((_, ctx) => {
        handled++;
        return ctx.decline("no_inventory");
      })
      .start();
    const intent = market.intent();
    await Promise.all([market.send(nodeId, intent), market.send(nodeId, intent, { attempt: 2 })]);
    await eventually(() => acksOf(intent.id).length >= 3);
    await market.send(nodeId, intent, { attempt: 3 });
    await eventually(() => acksOf(intent.id).some((ack) => ack.attempt === 3));
    expect(handled).toBe(1);
    expect(acksOf(intent.id)).toContainEqual({ status: "declined", reason: "no_inventory", attempt: 1 });
    expect(acksOf(intent.id)).toContainEqual({ status: "declined", reason: "no_inventory", attempt: 3 });
    expect(node.health().counters).toMatchObject({ received: 3, duplicates: 2 });
  });

  test("may get several quotes, numbered in order, up to what the intent takes of one node", async () => {
    const { node, nodeId } = market.node();
    let beyond: unknown;
    await node
      .onIntent((_, ctx) => {
        const [first, second] = [
          ctx.quote({ amountMinor: 900 }),
          ctx.quote({ amountMinor: 700, quoteType: "indicative" }),
        ];
        try {
          ctx.quote({ amountMinor: 1 });
        } catch (error) {
          beyond = error;
        }
        return [first, second];
      })
      .start();
    const intent = market.intent({ quotes_per_node_max: 2 });
    await market.send(nodeId, intent);
    await eventually(() => node.health().counters.quotesStored === 2);
    expect(market.quotes.map(({ quote }) => quote.id).sort()).toEqual(
      [quoteId(intent.id, nodeId, 0), quoteId(intent.id, nodeId, 1)].sort(),
    );
    expect(beyond).toMatchObject({ code: "quote_ordinal_exceeded" });
  });

  test("may be quoted early: a quote that was sent before the handler returned is not sent twice", async () => {
    const { node, nodeId } = market.node();
    const outcomes: string[] = [];
    await node
      .onIntent(async (_, ctx) => {
        const early = ctx.quote({ amountMinor: 900 });
        outcomes.push((await ctx.send(early)).kind);
        return [early, ctx.quote({ amountMinor: 800, supersedes: early.quoteId })];
      })
      .start();
    await market.send(nodeId, market.intent());
    await eventually(() => node.health().counters.quotesStored === 2);
    expect(outcomes).toEqual(["stored"]);
    expect(market.quotes.map(({ quote }) => quote.payload.total.amount_minor)).toEqual([900, 800]);
  });

  test("ends in `declined capacity` and an error event when the handler throws, and the next one is handled", async () => {
    const { node, nodeId } = market.node();
    const faults: NodeFault[] = [];
    node.on("error", (fault) => faults.push(fault));
    await node
      .onIntent((intent, ctx) => {
        if (intent.payload.description === "bad") throw new Error("stock database is away");
        return ctx.quote({ amountMinor: -5 }); // not an amount: reported, declined
      })
      .start();
    const [bad, negative] = [market.intent({ description: "bad" }), market.intent()];
    await market.send(nodeId, bad);
    await market.send(nodeId, negative);
    await eventually(() => acksOf(negative.id).some((ack) => ack.status === "declined"));
    expect(acksOf(bad.id)).toEqual([
      { status: "accepted", reason: undefined, attempt: 1 },
      { status: "declined", reason: "capacity", attempt: 1 },
    ]);
    expect(faults.map(({ intentId, error }) => [intentId, (error as Error).message])).toEqual([
      [bad.id, "stock database is away"],
      [negative.id, expect.stringContaining("validation_failed")],
    ]);
  });

  test("waits for a free slot; beyond the open maximum it is declined with `capacity` and may be taken at its next attempt", async () => {
    const { node, nodeId } = market.node({ concurrency: 1, openIntentsMax: 2 });
    const release: (() => void)[] = [];
    await node
      .onIntent(async (_, ctx) => {
        await new Promise<void>((resolve) => release.push(resolve));
        return ctx.decline("policy");
      })
      .start();
    const [first, second, third] = [market.intent(), market.intent(), market.intent()];
    for (const intent of [first, second, third]) await market.send(nodeId, intent);
    await eventually(() => acksOf(third.id).length === 1);
    expect(node.health()).toMatchObject({ running: 1, waiting: 1 });
    expect(acksOf(third.id)).toEqual([{ status: "declined", reason: "capacity", attempt: 1 }]);
    release.shift()!();
    await eventually(() => release.length === 1);
    await market.send(nodeId, third, { attempt: 2 });
    release.shift()!();
    await eventually(() => release.length === 1);
    release.shift()!();
    await eventually(() => acksOf(third.id).at(-1)?.reason === "policy");
  });
});

describe("a message that cannot be trusted", () => {
  test("is rejected when forged, and everything after it is handled", async () => {
    const { node, nodeId } = market.node();
    const faults: string[] = [];
    let handled = 0;
    node.on("error", ({ error }) => faults.push((error as { code: string }).code));
    await node
      .onIntent((_, ctx) => {
        handled++;
        return ctx.decline();
      })
      .start();
    const [foreign, altered, otherSender, confused, unsigned, future] = Array.from({ length: 6 }, () =>
      market.intent(),
    );
    const stranger = generateKey();
    await market.send(nodeId, foreign, { key: stranger });
    const tampered = canonicalize({ ...altered, payload: { ...altered!.payload, quotes_per_node_max: 9 } });
    const honest = signEnvelope(canonicalize(altered), "intent", market.key).jws;
    await market.send(nodeId, altered, { bytes: tampered, signature: honest });
    await market.send(nodeId, { ...otherSender, sender: { id: "somebody" } });
    await market.send(nodeId, confused, { type: "quote" });
    await market.send(nodeId, unsigned, { signature: "x..y" });
    await market.send(nodeId, {
      ...future,
      created: toRfc3339(Date.now() + 3_600_000),
      expires: toRfc3339(Date.now() + 7_200_000),
    });
    await market.send(nodeId, {}, { bytes: new TextEncoder().encode('{"id":') });
    await market.send(nodeId, {}, { bytes: new Uint8Array(70_000) });
    await market.send(nodeId, { ...market.intent(), version: "2031-01-01" });
    await market.send(nodeId, { ...market.intent(), audience: newId("nod") });
    const good = market.intent();
    await market.send(nodeId, good);
    await eventually(() => acksOf(good.id).length === 2);
    expect(handled).toBe(1);
    for (const intent of [foreign, altered, otherSender, confused, unsigned, future]) {
      expect(acksOf(intent!.id)).toEqual([{ status: "rejected", reason: "invalid_intent", attempt: 1 }]);
    }
    // The one with the unknown key is looked at twice, and so may be told of behind its neighbour.
    expect(faults.toSorted()).toEqual([
      "json_syntax",
      "json_too_large",
      "key_not_of_sender",
      "key_unknown",
      "message_future_dated",
      "permission_denied",
      "signature_invalid",
      "signature_malformed",
      "signature_type_mismatch",
      "version_unknown",
    ]);
    expect(node.health().counters.rejected).toBe(10);
  });

  test("is declined `too_late` when its time is over, by its own deadline or by the time left in the header", async () => {
    const { node, nodeId } = market.node();
    await node.onIntent((_, ctx) => ctx.quote({ amountMinor: 1 })).start();
    const expired = market.intent({}, 150);
    await sleep(200);
    const hurried = market.intent();
    await market.send(nodeId, expired);
    await market.send(nodeId, hurried, { timeLeftMs: 0 });
    await eventually(() => acksOf(hurried.id).length === 1);
    for (const { id } of [expired, hurried])
      expect(acksOf(id)).toEqual([{ status: "declined", reason: "too_late", attempt: 1 }]);
    expect(market.quotes).toHaveLength(0);
  });
});

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
    expect(Date.now() - from).toBeLessThan(800);
    expect(node.health().counters.duplicates).toBe(1);
  });

  test("ends with a final refusal, and the service's later word arrives as a notice", async () => {
    const { node, nodeId } = market.node();
    const reports: QuoteReport[] = [];
    const notices: Notice[] = [];
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
    await nats.kill();
    await eventually(() => states.includes("disconnected"));
    market.rule = stored;
    await nats.start();
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
    await nats.kill();
    const [patient, resigned] = [market.node(), market.node()];
    const starting = patient.node.onIntent((_, ctx) => ctx.decline()).start();
    const given = resigned.node.onIntent((_, ctx) => ctx.decline()).start();
    await sleep(50);
    await resigned.node.drain();
    await expect(given).rejects.toThrow("stopping");
    await nats.start();
    expect(await starting).toEqual({ nodeId: patient.nodeId });
  });
});

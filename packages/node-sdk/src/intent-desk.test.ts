// What a node makes of an intent, against a real nats-server and a service peer that answers as told.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { canonicalize, check, digestOf, LIMITS, newId, Quote, quoteId, toRfc3339 } from "@outcry/protocol";
import { type ThrowawayNats, throwawayNats } from "@outcry/servers";
import { generateKey, keySource, signEnvelope, verificationKey, verifyEnvelope } from "@outcry/signing";
import { eventually } from "./eventually.fixture.js";
import { Market } from "./market.fixture.js";
import type { NodeFault } from "./options.js";

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

  test("begins anew with an amendment: the earlier work is stopped without a word, and a late copy of it is not taken", async () => {
    const { node, nodeId } = market.node();
    const seen: { revision: number; aborted: string | undefined }[] = [];
    await node
      .onIntent(async (_, ctx) => {
        const run: (typeof seen)[number] = { revision: ctx.revision, aborted: undefined };
        seen.push(run);
        ctx.signal.addEventListener("abort", () => (run.aborted = (ctx.signal.reason as Error).message));
        if (ctx.revision === 0) await new Promise(() => undefined); // never decides
        return ctx.quote({ amountMinor: 900 });
      })
      .start();
    const intent = market.intent();
    const first = market.amended(intent, { budget: { max_minor: 7 } });
    await market.send(nodeId, intent);
    await eventually(() => acksOf(intent.id).length === 1);
    await market.send(nodeId, first);
    await eventually(() => node.health().counters.quotesStored === 1);
    expect(seen).toEqual([
      { revision: 0, aborted: "amended: revision 1 has come" },
      { revision: 1, aborted: undefined },
    ]);
    expect(market.quotes[0]!.quote).toMatchObject({
      id: quoteId(intent.id, nodeId, 0, 1),
      request_digest: digestOf(canonicalize(first)),
      payload: { revision: 1, ordinal: 0 },
    });
    // The first revision was acknowledged once and never declined; what comes of it now is not answered.
    const before = market.acks.length;
    await market.send(nodeId, intent, { attempt: 2 });
    await market.send(nodeId, market.intent());
    await eventually(() => market.acks.length > before);
    const earlier = market.acks.filter(({ request_digest }) => request_digest === digestOf(canonicalize(intent)));
    expect(earlier.map(({ status, attempt }) => [status, attempt])).toEqual([["accepted", 1]]);
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
    await market.send(nodeId, {}, { bytes: new Uint8Array(LIMITS.intentBytesMax + 1) });
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

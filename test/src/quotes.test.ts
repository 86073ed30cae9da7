// Quotes that are meant well, on real servers: ranked in a way that this test computes anew, replaced, repeated, late, too many.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  digestOf,
  type EventData,
  LIMITS,
  type Notice,
  type Quote,
  type QuoteInput,
  quoteId,
  type QuotesView,
  STREAMS,
  SUBJECTS,
} from "@outcry/protocol";
import { anIntent, type Backend } from "./api-calls.js";
import { eventually, inMs, type Market, startMarket } from "./in-process.js";
import { connectRaw, type HeardIntent, type RawNode } from "./raw-node.js";

let market: Market;
let backend: Backend;
let node: RawNode;
let silent: RawNode;

beforeAll(async () => {
  market = await startMarket();
  backend = await market.backend();
  [node, silent] = [await connectRaw(market), await connectRaw(market)]; // the silent one keeps intents open
});
afterAll(() => market.stop());

async function posted(request: object = {}): Promise<{ id: string; heard: HeardIntent }> {
  const id = await backend.broadcast({ ...anIntent, routing: { targets: [node.id, silent.id] }, ...request });
  return { id, heard: await node.hears(id) };
}

const noticesOf = (of: RawNode, id: string): Notice[] =>
  of.heardOf("notice", id).map(({ data }) => JSON.parse(new TextDecoder().decode(data)) as Notice);

const receivedOf = async (id: string) =>
  (await market.eventsOf(id))
    .filter(({ type }) => type === "QUOTE_RECEIVED")
    .map(({ data }) => data as EventData<"QUOTE_RECEIVED">);

/** outcry.rank.v1 as its page describes it, written down a second time. */
function scoreByHand({ payload }: Quote, budget: number | undefined): number {
  const reference = BigInt(budget ?? 10_000);
  const price = Number((1_000_000n * reference) / (reference + BigInt(payload.total.amount_minor)));
  const within = budget === undefined || payload.total.amount_minor <= budget ? 1_000_000 : 0;
  const firm = payload.quote_type === "firm" ? 1_000_000 : 0;
  return Math.floor((price * 900) / 1_000) + Math.floor((firm * 50) / 1_000) + Math.floor((within * 50) / 1_000);
}

describe("ranking", () => {
  test("orders by a score that its explanation adds up to, and that anyone can compute from the quote", async () => {
    const offers: QuoteInput[] = [
      { amountMinor: 7_000 },
      { amountMinor: 4_000, quoteType: "indicative" },
      {
        lineItems: [{ lineItemId: "item-1", unitAmountMinor: 1_999, quantity: 2 }],
        charges: [{ kind: "shipping", amountMinor: 490 }],
      },
      { amountMinor: 4_488 },
      { amountMinor: 0, quoteType: "indicative" },
      { amountMinor: LIMITS.amountMinorMax },
    ];
    const sellers = await Promise.all(
      offers.map((offer) => market.seller(async (_intent, context) => context.quote(offer))),
    );
    const targets = sellers.map(({ id }) => id);
    for (const budget of [5_000, undefined]) {
      const id = await backend.broadcast({
        ...anIntent,
        routing: { targets },
        ...(budget === undefined ? {} : { budget: { max_minor: budget } }),
      });
      expect(await market.ended(backend, id)).toBe("closed");
      const view = await market.quotesOf(backend, id, offers.length);
      expect([view.method, view.unranked]).toEqual(["outcry.rank.v1", []]);
      expect(view.quotes.map(({ rank }) => rank)).toEqual([1, 2, 3, 4, 5, 6]);

      const byHand = view.quotes.map(({ quote }) => scoreByHand(quote, budget));
      expect(view.quotes.map(({ explanation }) => explanation.score)).toEqual(byHand);
      expect(byHand).toEqual(byHand.toSorted((a, b) => b - a));
      for (const { explanation } of view.quotes) {
        expect(explanation.terms.reduce((sum, { weight }) => sum + weight, 0)).toBe(1_000);
        for (const { value, weight, points } of explanation.terms)
          expect(points).toBe(Math.floor((value * weight) / 1_000));
        expect(explanation.terms.reduce((sum, { points }) => sum + points, 0)).toBe(explanation.score);
      }
      // Equal scores: who was stored first.
      const told = await receivedOf(id);
      expect(new Map(told.map((data) => [data.quote_id, data.explanation]))).toEqual(
        new Map(view.quotes.map((quote) => [quote.quote_id, quote.explanation])),
      );
      const tied = view.quotes.filter(({ quote }) => quote.payload.total.amount_minor === 4_488);
      expect(tied).toHaveLength(2);
      expect(tied[0]!.stored_at <= tied[1]!.stored_at).toBe(true);
    }
  });
});

describe("a node's further quotes", () => {
  test("replace what they supersede; the rest stays", async () => {
    const { id, heard } = await posted();
    const first = quoteId(id, node.id, 0);
    for (const [ordinal, input] of [
      { amountMinor: 5_000 },
      { amountMinor: 4_000, supersedes: first },
      { amountMinor: 6_000 },
    ].entries()) {
      expect(await node.ask(id, node.quote(heard, input, undefined, ordinal))).toMatchObject({
        kind: "stored",
        quote_id: quoteId(id, node.id, ordinal),
      });
    }
    const { quotes, unranked } = await market.quotesOf(backend, id, 3);
    expect(quotes.map(({ quote_id }) => quote_id)).toEqual([quoteId(id, node.id, 1), quoteId(id, node.id, 2)]);
    expect(unranked).toEqual([expect.objectContaining({ quote_id: first, node_id: node.id, code: "superseded" })]);
    expect((await receivedOf(id)).map(({ quote_id }) => quote_id).toSorted()).toEqual(
      [0, 1, 2].map((nth) => quoteId(id, node.id, nth)).toSorted(),
    );
  });

  test("are as many as quotes_per_node_max says", async () => {
    const { id, heard } = await posted({ quotes_per_node_max: 2 });
    const answers = await Promise.all(
      [0, 1, 2, 15].map((ordinal) => node.ask(id, node.quote(heard, undefined, undefined, ordinal))),
    );
    const refused = { kind: "refused", code: "quote_ordinal_exceeded", temporary: false };
    expect(answers).toMatchObject([{ kind: "stored" }, { kind: "stored" }, refused, refused]);
    expect((await market.quotesOf(backend, id, 2)).quotes).toHaveLength(2);
    expect(await market.stored(STREAMS.quotes, SUBJECTS.quotesOf(id))).toHaveLength(2);
  });
});

describe("a repeated quote", () => {
  test("is stored once and announced once, in the same bytes as in others; the node learns which bytes count", async () => {
    const { id, heard } = await posted();
    const quote = node.quote(heard, { amountMinor: 1_000 });
    const stored = { kind: "stored", quote_id: quoteId(id, node.id, 0), digest: digestOf(quote.bytes) };
    for (let times = 0; times < 3; times++) expect(await node.ask(id, quote)).toEqual(stored);
    expect(await Promise.all(Array.from({ length: 20 }, () => node.ask(id, quote)))).toEqual(
      Array.from({ length: 20 }, () => stored),
    );
    expect(await node.ask(id, node.quote(heard, { amountMinor: 1 }))).toEqual(stored); // same ordinal, cheaper

    const { quotes } = await market.quotesOf(backend, id, 1);
    expect(quotes.map(({ quote: { payload } }) => payload.total.amount_minor)).toEqual([1_000]);
    expect(await market.stored(STREAMS.quotes, SUBJECTS.quotesOf(id))).toHaveLength(1);
    expect(await receivedOf(id)).toHaveLength(1);
    await eventually(() => noticesOf(node, id).length > 0);
    expect(noticesOf(node, id)).toEqual([{ type: "quote_ranked", intent_id: id, quote_id: stored.quote_id }]);
  });
});

describe("a late quote", () => {
  test("is recorded, not ranked, and the node is told why", async () => {
    const { id, heard } = await posted({ quote_deadline: inMs(800) });
    await new Promise((resolve) => setTimeout(resolve, 850));
    expect(await node.ask(id, node.quote(heard))).toMatchObject({ kind: "stored" });
    expect(await market.ended(backend, id)).toBe("expired");
    const { quotes, unranked } = await market.quotesOf(backend, id, 1);
    expect([quotes, unranked.map(({ code }) => code)]).toEqual([[], ["quote_late"]]);
    expect(await receivedOf(id)).toEqual([]);
    const refusals = (await market.nodeEvents(node.id)).filter(
      ({ data }) => (data as EventData<"QUOTE_REFUSED">).intent_id === id,
    );
    expect(refusals.map(({ type, data }) => [type, (data as EventData<"QUOTE_REFUSED">).code])).toEqual([
      ["QUOTE_REFUSED", "quote_late"],
    ]);
    await eventually(() => noticesOf(node, id).length > 0);
    expect(noticesOf(node, id)).toMatchObject([{ type: "quote_refused", code: "quote_late" }]);
    const { body } = await backend.call<{ deliveries: Record<string, number> }>("GET", `/v1/intents/${id}`);
    expect(body.deliveries).toMatchObject({ timed_out: 2, quoted: 0 });
  });

  test("and one stored in time count each by its own time of storage, not by when it is judged", async () => {
    const { id, heard } = await posted({ quote_deadline: inMs(1_500), quotes_per_node_max: 16 });
    const answers: Promise<unknown>[] = [];
    for (let ordinal = 0; ordinal < 16; ordinal++) {
      answers.push(node.ask(id, node.quote(heard, { amountMinor: 100 + ordinal }, undefined, ordinal)));
      await new Promise((resolve) => setTimeout(resolve, 120));
    }
    await Promise.all(answers);
    await market.ended(backend, id);
    const { quotes, unranked } = await market.quotesOf(backend, id, 16);
    const deadline = heard.intent.payload.quote_deadline;
    expect(quotes.length).toBeGreaterThan(0);
    expect(unranked.length).toBeGreaterThan(0);
    expect(quotes.filter(({ stored_at }) => stored_at > deadline)).toEqual([]);
    expect(unranked.filter(({ stored_at, code }) => stored_at <= deadline || code !== "quote_late")).toEqual([]);
  });
});

test("an intent's quotes are empty while there are none, and never show another intent's", async () => {
  const { id } = await posted();
  const { body } = await backend.call<QuotesView>("GET", `/v1/intents/${id}/quotes`);
  expect(body).toEqual({ intent_id: id, status: "open", method: "outcry.rank.v1", quotes: [], unranked: [] });
});

test("nothing of all this is left in a backlog, and nothing was logged as an error", async () => {
  await eventually(async () => Object.keys(await market.backlog()).length === 0);
  expect(market.logs.filter(({ level }) => level === "error")).toEqual([]);
  expect(await market.stored(STREAMS.deadLetters)).toEqual([]);
});

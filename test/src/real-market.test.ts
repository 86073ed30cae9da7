// The 300 intents against sellers that hold the catalogue, on real servers: every one is accepted and ends, with a quote where a seller
// has the thing and a decline everywhere else. Whether a match is a good one is not the point; that each is accounted for is.

import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Intent, IntentView, QuoteInput, QuotesView } from "@outcry/protocol";
import type { Backend } from "./api-calls.js";
import { hasCorpus, readData } from "./corpus-files.js";
import { eventually, type Market, startMarket } from "./in-process.js";
import { realIntents } from "./real-intents.js";

const IN_FLIGHT = 16;
const SELLERS = 5; // the catalogue's 23 sellers, a few to a node

interface Item {
  seller: string;
  title?: string;
  category?: string;
  prices: { currency: string; amount_minor: number }[];
}

const generatedCatalogue: Item[] = ["chair", "desk lamp", "rice cooker"].map((title, nth) => ({
  seller: `seller-${nth}`,
  title,
  prices: [{ currency: nth === 0 ? "GBP" : "USD", amount_minor: 1_999 }],
}));

const catalogue: Item[] = hasCorpus
  ? readData("intents/catalog.jsonl")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Item)
  : generatedCatalogue;

const wordsOf = (text: string): Set<string> => new Set(text.toLowerCase().match(/\p{L}{4,}/gu) ?? []);

/** What a seller offers: its cheapest item in the intent's currency that shares a word of the title, if there is one. */
function offerOf(items: readonly Item[], { payload }: Pick<Intent, "payload">): QuoteInput | undefined {
  const wanted = wordsOf(payload.line_items.map(({ query }) => query).join(" "));
  const prices = items
    .filter(({ title = "", category = "" }) => [...wordsOf(`${title} ${category}`)].some((word) => wanted.has(word)))
    .flatMap(({ prices: all }) => all.filter(({ currency }) => currency === payload.context.currency))
    .map(({ amount_minor: amount }) => amount);
  if (prices.length === 0) return undefined;
  const first = payload.line_items[0]!;
  return { lineItems: [{ lineItemId: first.id, unitAmountMinor: Math.min(...prices) }] };
}

const names = [...new Set(catalogue.map(({ seller }) => seller))];
const stocks = Array.from({ length: SELLERS }, (_, nth) =>
  catalogue.filter(({ seller }) => names.indexOf(seller) % SELLERS === nth),
);

let market: Market;
let backend: Backend;

beforeAll(async () => {
  market = await startMarket();
  backend = await market.backend();
  for (const items of stocks) {
    await market.seller((intent, context) => {
      const offer = offerOf(items, intent);
      return offer === undefined ? context.decline("no_inventory") : context.quote(offer);
    });
  }
});
afterAll(() => market.stop());

test("all 300 are accepted and end, with exactly the quotes that the catalogue gives", async () => {
  const requests = realIntents();
  const ends: IntentView[] = [];
  const quotes: QuotesView[] = [];
  const work = requests.entries();
  const one = async () => {
    for (const [nth, request] of work) {
      const { status, body } = await backend.post(request, `row-${nth}`);
      expect([nth, status, body.targets]).toEqual([nth, 202, SELLERS]);
      await backend.call("GET", `/v1/intents/${body.id}/acks?timeout_ms=30000`); // most of the wait, without asking again and again
      const view = await eventually(async () => {
        const read = await backend.call<IntentView>("GET", `/v1/intents/${body.id}`);
        return read.body.status !== "open" && read.body;
      }, 30_000);
      ends[nth] = view;
      quotes[nth] = await market.quotesOf(backend, body.id, view.deliveries["quoted"]!);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, one));

  expect(ends.map(({ status }) => status)).toEqual(requests.map(() => "closed"));
  const expected = ends.map((view) => stocks.filter((items) => offerOf(items, view.intent) !== undefined).length);
  expect(ends.map(({ deliveries }) => deliveries["quoted"])).toEqual(expected);
  expect(ends.map(({ deliveries }) => deliveries["declined"])).toEqual(expected.map((quoted) => SELLERS - quoted));
  expect(quotes.map((view) => [view.quotes.length, view.unranked.length])).toEqual(
    expected.map((quoted) => [quoted, 0]),
  );
  for (const [nth, { quotes: ranked }] of quotes.entries()) {
    const currency = ends[nth]!.intent.payload.context.currency;
    expect(ranked.every(({ quote }) => quote.payload.total.currency === currency)).toBe(true);
  }
  const total = expected.reduce((sum, quoted) => sum + quoted, 0);
  const [withQuote, pairs] = [expected.filter((quoted) => quoted > 0).length, 300 * SELLERS];
  expect({ withQuote, total, pairs }).toEqual({
    pairs: 1_500,
    ...(hasCorpus ? { withQuote: 91, total: 113 } : { withQuote: 53, total: 53 }),
  });
}, 120_000); // seconds on an idle machine; the bound is for a busy one

test("nothing is left over, was sent twice, set aside or logged as an error", async () => {
  await eventually(async () => Object.keys(await market.backlog()).length === 0);
  const odd = Object.keys(market.counts).filter((name) => /refused|dead|retried|forged/i.test(name));
  expect(odd).toEqual([]);
  expect(market.logs.filter(({ level }) => level === "error")).toEqual([]);
});

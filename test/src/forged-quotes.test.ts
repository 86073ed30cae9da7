// Every way in which a quote can be wrong, on real servers: each has its code, in the immediate answer or as QUOTE_REFUSED on the
// node's topic with a notice, and the queue goes on behind it.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type EventData, type Notice, type QuoteAnswer, quoteId, STREAMS, SUBJECTS } from "@outcry/protocol";
import { anIntent, type Backend } from "./api-calls.js";
import { type Cast, refusedAtOnce, refusedWhenJudged } from "./forged-quotes.js";
import { eventually, type Market, startMarket } from "./in-process.js";
import { connectRaw, type HeardIntent, type RawNode } from "./raw-node.js";

let market: Market;
let backend: Backend;
let mallory: RawNode;
let honest: RawNode;
let cast: Cast;

beforeAll(async () => {
  market = await startMarket();
  backend = await market.backend();
  [mallory, honest] = [await connectRaw(market), await connectRaw(market)];
  const id = await backend.broadcast({ ...anIntent, routing: { targets: [honest.id] }, quotes_per_node_max: 4 });
  const heard = await honest.hears(id);
  cast = { mallory, honest, elsewhere: { id, heard, quote: honest.quote(heard) } };
});
afterAll(() => market.stop());

async function posted(): Promise<HeardIntent> {
  const id = await backend.broadcast({ ...anIntent, routing: { targets: [mallory.id, honest.id] } });
  return mallory.hears(id);
}

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

describe("refused at once, and stored nowhere:", () => {
  test.each(refusedAtOnce)("%s → %s", async (_what, code, forge) => {
    const heard = await posted();
    const { intentId = heard.intent.id, ...message } = forge(cast, heard);
    const before = (await market.stored(STREAMS.quotes)).length;
    const answer = await mallory.ask(intentId, message);
    expect(answer).toMatchObject({ kind: "refused", code });
    expect((answer as Extract<QuoteAnswer, { kind: "refused" }>).detail.length).toBeLessThan(4_000);
    expect(await market.stored(STREAMS.quotes)).toHaveLength(before);
  });
});

describe("stored, refused and told to the node:", () => {
  test.each(refusedWhenJudged)("%s → %s", async (_what, code, forge) => {
    const heard = await posted();
    const id = heard.intent.id;
    const message = forge(cast, heard);
    expect(await mallory.ask(id, message)).toMatchObject({ kind: "stored" });
    expect(await mallory.ask(id, message)).toMatchObject({ kind: "stored" });

    const { quotes, unranked } = await market.quotesOf(backend, id, 1);
    expect([quotes, unranked.map((quote) => [quote.node_id, quote.code])]).toEqual([[], [[mallory.id, code]]]);
    expect(
      (await market.eventsOf(id)).filter(({ type }) => type === "QUOTE_RECEIVED" || type === "NODE_RESPONDED"),
    ).toEqual([]);
    const refusals = (await market.nodeEvents(mallory.id)).map(({ data }) => data as EventData<"QUOTE_REFUSED">);
    expect(refusals.filter(({ intent_id }) => intent_id === id)).toMatchObject([
      { node_id: mallory.id, code, detail: expect.any(String) },
    ]);
    const [notice] = await eventually(() => mallory.heardOf("notice", id).length > 0 && mallory.heardOf("notice", id));
    expect(JSON.parse(textOf(notice!.data)) as Notice).toMatchObject({ type: "quote_refused", intent_id: id, code });
  });
});

describe("a header that no client writes", () => {
  test.each([
    ["with a line feed in it", "NATS/1.0\r\nOutcry-Signature: a..b\nNats-Msg-Id: x\r\n\r\n", "signature_malformed"],
    ["with a NUL in it", "NATS/1.0\r\nOutcry-Signature: a..\0b\r\n\r\n", "signature_malformed"],
    ["without a name", "NATS/1.0\r\n: a..b\r\n\r\n", "signature_missing"],
    ["in other letters", "NATS/1.0\r\noutcry-signature: a..b\r\n\r\n", "signature_missing"],
    ["as garbage", "NATS/1.0\r\n\u00ff\u00fe\r\n\r\n", "signature_missing"],
  ])("%s is answered with its code", async (_what, head, code) => {
    const heard = await posted();
    const headers = { encode: () => Buffer.from(head, "latin1") } as never; // nats.js only calls encode()
    const answer = await mallory.nats.request(
      SUBJECTS.nodeQuote(mallory.id, heard.intent.id),
      mallory.quote(heard).bytes,
      { headers, timeout: 5_000 },
    );
    expect(answer.json()).toMatchObject({ kind: "refused", code });
  });
});

describe("behind all that", () => {
  test("the honest node's quotes on the very same intents are taken, judged and ranked", async () => {
    const targets = { targets: [mallory.id, honest.id] };
    const id = await backend.broadcast({ ...anIntent, routing: targets });
    const heard = await honest.hears(id);
    // Before the honest one, under its name where it can.
    const claim = (ordinal: number) =>
      mallory.quote(heard, undefined, (quote) => ({ ...quote, id: quoteId(id, honest.id, ordinal) }), ordinal);
    for (const ordinal of [0, 1])
      expect(await mallory.ask(id, claim(ordinal))).toMatchObject({ code: "quote_id_underived" });
    expect(await honest.ask(id, honest.quote(heard, { amountMinor: 777 }))).toMatchObject({ kind: "stored" });
    const { quotes, unranked } = await market.quotesOf(backend, id, 1);
    expect(quotes.map(({ node_id, quote }) => [node_id, quote.payload.total.amount_minor])).toEqual([[honest.id, 777]]);
    expect(unranked).toEqual([]);
  });

  test("nothing is stuck, nothing was set aside, nothing was a fault of the service", async () => {
    await eventually(async () => Object.keys(await market.backlog()).length === 0);
    expect(await market.stored(STREAMS.deadLetters)).toEqual([]);
    expect(market.logs.filter(({ level }) => level === "error")).toEqual([]);
    expect(Object.keys(market.counts).filter((name) => name.includes("internal"))).toEqual([]);
  });
});

// Streams that really fill up, on real servers: POST turns to 503 before an append fails, readiness turns red, nodes are told to come
// again, and all of it ends when there is room.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type QuoteAnswer, STREAMS } from "@outcry/protocol";
import { anIntent, type Backend } from "./api-calls.js";
import { eventually, type Market, startMarket } from "./in-process.js";
import { connectRaw, type RawNode } from "./raw-node.js";

const FIRST_INTENTS = 400; // about a megabyte: a tenth of it is more than what arrives between two looks
const LOOK_MS = 2_100;
const FULL_MS = 15_000; // longer than all deliveries of a message take
const ANSWER_MS_MAX = 2_500;

let market: Market;
let backend: Backend;
let node: RawNode;
const maxBytes = new Map<string, number>();

beforeAll(async () => {
  market = await startMarket();
  backend = await market.backend();
  node = await connectRaw(market);
  for (const stream of Object.values(STREAMS))
    maxBytes.set(stream, (await market.manager.streams.info(stream)).config.max_bytes);
});
afterAll(() => market.stop());

/** A stream that is half full, as the service has seen it become. */
async function shrink(stream: string): Promise<void> {
  const { bytes } = (await market.manager.streams.info(stream)).state;
  await market.manager.streams.update(stream, { max_bytes: Math.floor(Math.max(bytes, 100_000) * 1.8) });
  await sleep(LOOK_MS);
}

const restore = (stream: string) => market.manager.streams.update(stream, { max_bytes: maxBytes.get(stream)! });
const fullness = async (stream: string) => {
  const { state, config } = await market.manager.streams.info(stream);
  return state.bytes / config.max_bytes;
};
const readiness = () => market.broadcast.checks()["record"]!;
const post = () => backend.post({ ...anIntent, line_items: [{ query: "x".repeat(1_900) }] });

async function expectRoomAgain(stream: string): Promise<void> {
  await restore(stream);
  await eventually(() => readiness().ok);
  expect((await post()).status).toBe(202);
}

/** In the words of the appender, which is asked last. */
const failedAppends = () => market.logs.filter(({ fields }) => JSON.stringify(fields).includes("maximum bytes"));

describe("POST /v1/intents", () => {
  beforeAll(async () => {
    for (let nth = 0; nth < FIRST_INTENTS; nth += 20) await Promise.all(Array.from({ length: 20 }, post));
  });

  test("is refused before INTENTS is full, with when to come again, and is taken again when there is room", async () => {
    await shrink(STREAMS.intents);
    let refused = await post();
    for (let nth = 0; nth < 2 * FIRST_INTENTS && refused.status === 202; nth++) refused = await post();
    expect([refused.status, refused.body.code]).toEqual([503, "record_full"]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(refused.body.detail).toMatch(/^INTENTS is 9\d % full$/);
    expect(readiness().ok).toBe(false);
    expect(await fullness(STREAMS.intents)).toBeLessThan(1);
    expect(failedAppends()).toEqual([]);
    await expectRoomAgain(STREAMS.intents);
  });

  for (const [stream, subject] of [
    [STREAMS.events, "rt.fill.a.b"],
    [STREAMS.deadLetters, "dead.fill.a"],
  ] as const) {
    test(`is refused while ${stream} is nearly full, and taken again when there is room`, async () => {
      await shrink(stream);
      const { backbone } = market.broadcast.platform;
      for (let nth = 0; (await fullness(stream)) < 0.92; nth++)
        await backbone.request(`${subject}.${nth}`, new Uint8Array(4_000));
      await eventually(() => !readiness().ok);
      const refused = await post();
      expect([refused.status, refused.body.code]).toEqual([503, "record_full"]);
      expect(refused.body.detail).toContain(stream);
      expect(failedAppends()).toEqual([]);
      await expectRoomAgain(stream);
    });
  }
});

test("an intent accepted just before EVENTS was full is fanned out when there is room, and nothing is set aside", async () => {
  const { bytes } = (await market.manager.streams.info(STREAMS.events)).state;
  await market.manager.streams.update(STREAMS.events, { max_bytes: bytes });
  const accepted = await backend.post({ ...anIntent, routing: { targets: [node.id] } });
  expect(accepted.status).toBe(202); // no look has seen it yet
  await eventually(() => !readiness().ok);
  await sleep(FULL_MS);
  await restore(STREAMS.events);
  await node.hears(accepted.body.id);
  await eventually(async () => (await market.eventsOf(accepted.body.id)).length >= 2);
  expect((await market.eventsOf(accepted.body.id)).slice(0, 2).map(({ type }) => type)).toEqual([
    "INTENT_CREATED",
    "INTENT_BROADCASTED",
  ]);
  expect(await market.stored(STREAMS.deadLetters, "dead.consumer.>")).toEqual([]);
  await eventually(() => readiness().ok);
}, 60_000);

describe("a quote at a full QUOTES", () => {
  test("is refused for a while within a bounded time, and the same bytes are stored when there is room", async () => {
    const ids = await Promise.all(
      Array.from({ length: 60 }, () => backend.broadcast({ ...anIntent, routing: { targets: [node.id] } })),
    );
    await market.manager.streams.update(STREAMS.quotes, { max_bytes: 200_000 });
    const terms = "x".repeat(2_000);
    let refused: Extract<QuoteAnswer, { kind: "refused" }> | undefined;
    let again: (() => Promise<QuoteAnswer>) | undefined;
    for (const id of ids) {
      const heard = await node.hears(id);
      for (const ordinal of [0, 1, 2, 3]) {
        const quote = node.quote(heard, { amountMinor: 1, terms }, (one) => one, ordinal);
        const startedAt = Date.now();
        const answer = await node.ask(id, quote);
        expect(Date.now() - startedAt).toBeLessThan(ANSWER_MS_MAX);
        if (answer.kind === "stored") continue;
        refused ??= answer;
        again ??= () => node.ask(id, quote);
      }
    }
    expect(refused).toMatchObject({ code: "record_full", temporary: true });
    await eventually(() => !readiness().ok);
    expect(await post()).toMatchObject({ status: 503, body: { code: "record_full" } });
    await restore(STREAMS.quotes);
    expect(await again!()).toMatchObject({ kind: "stored" });
    await eventually(() => readiness().ok);
  });
});

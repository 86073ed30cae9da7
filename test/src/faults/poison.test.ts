// Messages that no handler can take, in each stream that a durable consumer reads: set aside with payload and cause, while
// the ones behind them go on. Both services run in this process, with few deliveries, so that it takes seconds.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createAppender } from "@outcry/backbone";
import { type DeadLetterDetail, intentId, quoteId, STREAMS, SUBJECTS } from "@outcry/protocol";
import { Redis } from "ioredis";
import { type Backend } from "../api-calls.js";
import { eventually, type Market, startMarket } from "../in-process.js";

const TEST_TIMEOUT_MS = 60_000;
const GARBAGE = '{"this is": not a message of ours';

let market: Market;
let backend: Backend;

beforeAll(async () => {
  market = await startMarket({ deliveriesMax: 3, ackTimeoutMs: 500 });
  backend = await market.backend();
  await market.seller(async (_intent, context) => context.quote({ amountMinor: 4_200 }));
}, TEST_TIMEOUT_MS);

afterAll(async () => {
  await market.stop();
});

async function append(stream: string, subject: string): Promise<number> {
  const appender = createAppender(market.broadcast.platform.backbone, { stream });
  const written = await appender.append({ subject, data: Buffer.from(GARBAGE) });
  if (written.kind !== "appended") throw new Error(written.kind);
  return written.seq;
}

/** A whole intent, from its post to the end, must not wait for the poison before it. */
async function oneGoesThrough(): Promise<void> {
  const id = await backend.broadcast({});
  expect(await market.ended(backend, id)).toBe("closed");
  expect((await market.quotesOf(backend, id, 1)).quotes).toHaveLength(1);
}

async function letterOf(stream: string, seq: number): Promise<DeadLetterDetail> {
  return eventually(async () => {
    const id = SUBJECTS.deadMessage(stream, seq);
    const { status, body } = await market.admin<DeadLetterDetail>("GET", `/v1/dead-letters/${id}`);
    return status === 200 && body;
  }, 30_000);
}

describe("a message that cannot be handled", () => {
  for (const [what, stream, subject] of [
    ["as an intent", STREAMS.intents, SUBJECTS.intent(intentId("bkd_poison", "1"))],
    ["as an intent's end", STREAMS.intents, SUBJECTS.intentEnd(intentId("bkd_poison", "2"))],
    ["as an intent under an id that is none", STREAMS.intents, SUBJECTS.intent("garbage")],
    ["as a quote under ids that are none", STREAMS.quotes, "quotes.a:b.c.d"],
  ] as const) {
    test(
      `${what} becomes a dead letter with its payload and cause, and holds up nothing`,
      async () => {
        const seq = await append(stream, subject);
        await oneGoesThrough();
        const letter = await letterOf(stream, seq);
        expect(letter).toMatchObject({ kind: "message", attempts: 3, source: { stream, sequence: seq, subject } });
        expect(letter.cause).toMatch(/\w/);
        expect(Buffer.from(letter.payload!, "base64").toString()).toBe(GARBAGE);
        await oneGoesThrough();
      },
      TEST_TIMEOUT_MS,
    );
  }

  test(
    "as a quote on a real intent is refused, and the intent ends as ever",
    async () => {
      const silent = `nod_${"0".repeat(26)}`;
      const id = await backend.broadcast({});
      await append(STREAMS.quotes, SUBJECTS.quote(id, silent, quoteId(id, silent, 0)));
      expect(await market.ended(backend, id)).toBe("closed");
      const { quotes, unranked } = await market.quotesOf(backend, id, 2);
      expect(quotes).toHaveLength(1);
      expect(unranked.map(({ code }) => code)).toEqual(["signature_missing"]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "does not stop the rebuild of a Redis that has lost its data",
    async () => {
      const redis = new Redis(market.brokers.redis.url);
      await redis.flushall();
      await redis.quit();
      await oneGoesThrough();
      expect(await market.backlog()).toEqual({});
    },
    TEST_TIMEOUT_MS,
  );
});

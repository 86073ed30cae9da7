// Poison for every durable consumer that the server has, in bursts: each piece becomes a dead letter with its payload and cause,
// and healthy messages behind it arrive at once. A consumer that is new fails the first test until COVERED knows it.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createAppender } from "@outcry/backbone";
import { STREAMS, type WebhookCreated } from "@outcry/protocol";
import type { Backend } from "../api-calls.js";
import type { DeadEntry } from "../faults/record.js";
import { SEED, seeded, sized } from "../faults/sizes.js";
import { eventually, type Market, startMarket } from "../in-process.js";
import { Receiver } from "../receiver.js";
import { COVERED, faultOfLetter, type Poison, poisonBytes } from "./poison-kinds.js";

const PIECES = sized(12, 500); // for each consumer
const BURST = 30; // at once: fewer than a consumer holds in hand (64), or the ones behind would wait for the last delivery
const DELIVERIES_MAX = 3;
const HEALTHY_WITHIN_MS = 5_000; // an intent from its post to its last event at the webhook, behind a burst
const LETTERS_WITHIN_MS = 60_000;
const SOAK_MS = 60_000 + 1_000 * PIECES;

let market: Market;
let backend: Backend;
let receiver: Receiver;
let webhook: string;

const random = seeded(SEED);
const healthyMs: number[] = [];

beforeAll(async () => {
  market = await startMarket({
    deliveriesMax: DELIVERIES_MAX,
    ackTimeoutMs: 500,
    webhooks: { scheduleMs: [100, 100], timeoutMs: 1_000 },
  });
  backend = await market.backend();
  receiver = await new Receiver().open();
  const made = await backend.call<WebhookCreated>("POST", "/v1/webhooks", { url: receiver.url });
  if (made.status !== 201) throw new Error(JSON.stringify(made.body));
  webhook = made.body.id;
  await market.seller(async (_intent, context) => context.quote({ amountMinor: 4_200 }));
  await eventually(async () => (await consumers()).some((name) => name.startsWith("EVENTS webhook-")));
}, SOAK_MS);

afterAll(async () => {
  await market?.stop();
  await receiver?.close();
});

/** `<stream> <name>` of every consumer on the server. */
async function consumers(): Promise<string[]> {
  const found: string[] = [];
  for await (const { config } of market.manager.streams.list())
    for await (const { name } of market.manager.consumers.list(config.name)) found.push(`${config.name} ${name}`);
  return found;
}

async function feed(kind: string, count: number): Promise<Poison[]> {
  const { stream, subject } = COVERED[kind]!;
  const appender = createAppender(market.broadcast.platform.backbone, { stream });
  const pieces: Poison[] = [];
  for (let piece = 0; piece < count; piece++) {
    const entry = { subject: subject(nth, backend.id), data: poisonBytes(nth++, random) };
    const written = await appender.append(entry);
    if (written.kind !== "appended") throw new Error(written.kind);
    pieces.push({ ...entry, stream, seq: written.seq });
  }
  return pieces;
}
let nth = 0;

/** A whole intent, from its post to the last of its events at the webhook. */
async function oneGoesThrough(): Promise<void> {
  const startedAt = Date.now();
  const id = await backend.broadcast({});
  await eventually(() => receiver.about(id).some(({ event }) => event.type === "INTENT_CLOSED"), 30_000);
  healthyMs.push(Date.now() - startedAt);
  expect((await market.quotesOf(backend, id, 1)).quotes).toHaveLength(1);
}

/** By subject. */
async function letters(): Promise<Map<string, DeadEntry>> {
  const stored = await market.stored(STREAMS.deadLetters);
  return new Map(
    stored.map(({ subject, data }) => [subject, JSON.parse(Buffer.from(data).toString("utf8")) as DeadEntry]),
  );
}

test("every durable consumer of the server is covered, and each that is covered is there", async () => {
  const found = await consumers();
  const kindOf = (consumer: string) =>
    Object.entries(COVERED).find(([, { stream, name }]) => {
      const [on, called] = consumer.split(" ") as [string, string];
      return on === stream && name.test(called);
    })?.[0];
  expect(found.filter((consumer) => kindOf(consumer) === undefined)).toEqual([]);
  expect(new Set(found.map(kindOf))).toEqual(new Set(Object.keys(COVERED)));
});

describe(`${PIECES} pieces of poison (seed ${SEED})`, () => {
  test.each(Object.keys(COVERED))(
    "for the consumer %s become dead letters with payload and cause, and healthy messages pass them",
    async (kind) => {
      const pieces: Poison[] = [];
      while (pieces.length < PIECES) {
        pieces.push(...(await feed(kind, Math.min(BURST, PIECES - pieces.length))));
        await oneGoesThrough();
        const { letter } = COVERED[kind]!;
        const wrong = await eventually(async () => {
          const written = await letters();
          const faults = pieces.map((piece) => faultOfLetter(written.get(letter(piece.seq, webhook)), piece));
          return (
            faults.every((fault) => fault !== "no letter") && { faults: faults.filter((fault) => fault !== undefined) }
          );
        }, LETTERS_WITHIN_MS);
        expect(wrong.faults).toEqual([]);
      }
      console.log(`${kind}: ${pieces.length} letters; healthy intents took up to ${Math.max(...healthyMs)} ms`);
      expect(Math.max(...healthyMs)).toBeLessThan(HEALTHY_WITHIN_MS);
    },
    SOAK_MS,
  );

  test("leave nothing in a backlog, and each its one letter", async () => {
    await eventually(async () => Object.keys(await market.backlog()).length === 0, 30_000);
    const written = await letters();
    // An event that is no event also meets the webhook alone: nobody else reads it.
    expect(written.size).toBe(PIECES * Object.keys(COVERED).length);
    await oneGoesThrough();
  });
});

describe("the judge of letters", () => {
  const poison: Poison = { stream: "QUOTES", subject: "quotes.a.b.c", data: Buffer.from("x"), seq: 7 };
  const good: DeadEntry = {
    kind: "message",
    cause: "TypeError: no",
    attempts: 3,
    source: { stream: "QUOTES", sequence: 7, subject: "quotes.a.b.c" },
    payload: Buffer.from("x").toString("base64"),
  };

  test("finds what is planted: no letter, no cause, another payload or source", () => {
    expect(faultOfLetter(good, poison)).toBeUndefined();
    expect(faultOfLetter(undefined, poison)).toBe("no letter");
    expect(faultOfLetter({ ...good, cause: "" }, poison)).toBe("no cause");
    expect(faultOfLetter({ ...good, payload: "eQ==" }, poison)).toBe("another payload");
    expect(faultOfLetter({ ...good, source: { ...good.source!, sequence: 8 } }, poison)).toBe("another source");
  });
});

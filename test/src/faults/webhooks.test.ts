// Webhooks and the feed of two broadcast processes under load, while processes are killed and stopped and Redis loses everything:
// each receiver gets every event of the record, a failed one the same bytes again.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createClient } from "@outcry/client";
import { type Event, type EventPage, STREAMS, TOPICS, type WebhookCreated } from "@outcry/protocol";
import { readAll } from "@outcry/backbone";
import { Redis } from "ioredis";
import { Webhook } from "standardwebhooks";
import WebSocket from "ws";
import { callAs } from "../api-calls.js";
import { Receiver } from "../receiver.js";
import { type FaultMarket, startFaultMarket } from "./fault-market.js";
import { seeded, SEED, SIZES, TEST_TIMEOUT_MS } from "./sizes.js";

const LOAD_MS = (1_000 * SIZES.intents) / SIZES.perSecond;
const EVENTS_PER_INTENT = 13;
const EVENTS_PER_SECOND = 50; // of one webhook beside the load, the other workers of the suite and three receivers in this process
// A second attempt comes after 5 s, a third after 30 s; and the load may write events faster than a webhook takes them.
const CATCH_UP_MS = 60_000 + (1_000 * SIZES.intents * EVENTS_PER_INTENT) / EVENTS_PER_SECOND;
const FLAKY = 0.05; // of the first attempts

let market: FaultMarket;
const receivers: Receiver[] = [];

beforeAll(async () => {
  market = await startFaultMarket({
    services: { broadcast: 2, gateway: 1 },
    healthyOnly: true,
    env: { OUTCRY_WEBHOOK_ALLOW_PRIVATE: "true", OUTCRY_WEBHOOK_KEY: "a key that both processes have" },
  });
}, TEST_TIMEOUT_MS);
afterAll(async () => {
  await market.stop();
  await Promise.all(receivers.map((receiver) => receiver.close()));
});

const call = () => callAs(market.stack.url, market.backend.secret);

async function hook(answer?: Receiver["answer"]): Promise<{ receiver: Receiver; secret: string }> {
  const receiver = await new Receiver().open();
  receivers.push(receiver);
  if (answer !== undefined) receiver.answer = answer;
  const { status, body } = await call()<WebhookCreated>("POST", "/v1/webhooks", { url: receiver.url });
  expect(status).toBe(201);
  return { receiver, secret: body.secret };
}

async function recordedEvents(): Promise<Event[]> {
  const events: Event[] = [];
  const filter = TOPICS.backend(market.backend.id);
  for await (const { data } of readAll(market.record.backbone, STREAMS.events, { filter }))
    events.push(JSON.parse(Buffer.from(data).toString()) as Event);
  return events;
}

const recorded = async (): Promise<string[]> => (await recordedEvents()).map(({ id }) => id);

/** Ids in order, by topic. */
function byTopic(events: Iterable<Pick<Event, "id" | "topic">>): Record<string, string[]> {
  const topics: Record<string, string[]> = {};
  for (const { id, topic } of events) (topics[topic] ??= []).push(id);
  return topics;
}

const firstsOf = ({ arrived }: Receiver): string[] => [...new Set(arrived.map(({ event }) => event.id))];

/** Until a receiver has every event of the record. */
async function caughtUp(all: readonly Receiver[]): Promise<string[]> {
  const untilMs = Date.now() + CATCH_UP_MS;
  for (;;) {
    const ids = await recorded();
    if (all.every(({ taken }) => taken.size >= ids.length) || Date.now() > untilMs) return ids;
    await sleep(250);
  }
}

test(
  "receivers get every event through kills, an orderly restart and a FLUSHALL; a flaky one the same bytes again",
  async () => {
    const random = seeded(SEED);
    const failed = new Set<string>();
    const well = await Promise.all(Array.from({ length: 3 }, () => hook()));
    const flaky = await hook(({ event }) => {
      if (failed.has(event.id) || random() > FLAKY) return 204;
      failed.add(event.id);
      return 500;
    });
    const [one, other] = [market.stack.service("broadcast", 0), market.stack.service("broadcast", 1)];
    const { report } = await market.under(async () => {
      await sleep(LOAD_MS / 5);
      await one.kill9();
      await one.start();
      await sleep(LOAD_MS / 5);
      const redis = new Redis(market.stack.brokers.redis.url);
      await redis.flushall();
      await redis.quit();
      await sleep(LOAD_MS / 5);
      expect(await other.terminate()).toBe(0);
      await other.start();
    });
    expect(report.violations).toEqual([]);
    const ids = await caughtUp([...well, flaky].map(({ receiver }) => receiver));
    expect(ids.length).toBeGreaterThan(SIZES.intents * 4);
    for (const { receiver, secret } of [...well, flaky]) {
      expect(receiver.taken.size).toBe(ids.length);
      expect(firstsOf(receiver).toSorted()).toEqual(ids.toSorted());
      const bodies = new Map<string, string>();
      for (const { body, event, headers } of receiver.arrived) {
        const text = body.toString();
        expect(bodies.get(event.id) ?? text).toBe(text);
        bodies.set(event.id, text);
        expect(() => new Webhook(secret).verify(body, headers as Record<string, string>)).not.toThrow();
      }
    }
    expect(failed.size).toBeGreaterThan(0);
    expect(flaky.receiver.arrived.length).toBeGreaterThanOrEqual(ids.length + failed.size);
  },
  TEST_TIMEOUT_MS + CATCH_UP_MS,
);

test(
  "each topic comes in the order of the record, also across a kill",
  async () => {
    const { receiver } = await hook();
    const before = (await recorded()).length;
    await market.under(async () => {
      await sleep(LOAD_MS / 3);
      const one = market.stack.service("broadcast", 0);
      await one.kill9();
      await one.start();
      await sleep(LOAD_MS / 3);
      const other = market.stack.service("broadcast", 1);
      await other.kill9();
      await other.start();
    });
    const untilMs = Date.now() + CATCH_UP_MS;
    let wanted = (await recordedEvents()).slice(before);
    while (firstsOf(receiver).length < wanted.length && Date.now() < untilMs) {
      await sleep(250);
      wanted = (await recordedEvents()).slice(before);
    }
    const firsts = new Map(receiver.arrived.map(({ event }) => [event.id, event]));
    expect(byTopic(firsts.values())).toEqual(byTopic(wanted));
  },
  TEST_TIMEOUT_MS + CATCH_UP_MS,
);

test("a cursor of the feed goes on in the channel, and back", async () => {
  const page = (await call()<EventPage>("GET", "/v1/events?limit=10")).body;
  const gateway = `${market.stack.service("gateway").url.replace("http", "ws")}/v1/ws`;
  const client = createClient({
    url: market.stack.url,
    gatewayUrl: gateway,
    apiKey: market.backend.secret,
    WebSocket,
  });
  const stream = client.events(`backend:${market.backend.id}`, { cursor: page.next_cursor });
  try {
    const { value: message } = await stream.next();
    if (message?.kind !== "event") throw new Error(JSON.stringify(message));
    const ids = await recorded();
    expect(message.event!.id).toBe(ids[10]);
    const { body } = await call()<EventPage>("GET", `/v1/events?limit=1&after=${message.cursor}`);
    expect(body.data[0]!.id).toBe(ids[11]);
  } finally {
    await stream.return();
  }
});

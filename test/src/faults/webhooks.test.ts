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
import { type FaultMarket, startFaultMarket } from "./fault-market.js";
import { Receivers } from "./receivers.js";
import { SEED, SIZES, TEST_TIMEOUT_MS } from "./sizes.js";

const LOAD_MS = (1_000 * SIZES.intents) / SIZES.perSecond;
const EVENTS_PER_INTENT = 13;
const EVENTS_PER_SECOND = 50; // of one webhook beside the load, the other workers of the suite and the receivers
// A second attempt comes after 5 s, a third after 30 s; and the load may write events faster than a webhook takes them.
const CATCH_UP_MS = 60_000 + (1_000 * SIZES.intents * EVENTS_PER_INTENT) / EVENTS_PER_SECOND;
const FLAKY = 0.05; // of the first attempts

let market: FaultMarket;
let receivers: Receivers;

beforeAll(async () => {
  receivers = new Receivers();
  market = await startFaultMarket({
    services: { broadcast: 2, gateway: 1 },
    healthyOnly: true,
    env: { OUTCRY_WEBHOOK_ALLOW_PRIVATE: "true", OUTCRY_WEBHOOK_KEY: "a key that both processes have" },
  });
}, TEST_TIMEOUT_MS);
afterAll(async () => {
  await market.stop();
  await receivers.close();
});

const call = () => callAs(market.stack.url, market.backend.secret);

interface Hook {
  /** Of its receiver. */
  index: number;
  secret: string;
}

let hooks = 0;

async function hook(flaky = 0): Promise<Hook> {
  const url = await receivers.open({ flaky, seed: SEED });
  const { status, body } = await call()<WebhookCreated>("POST", "/v1/webhooks", { url });
  expect(status).toBe(201);
  return { index: hooks++, secret: body.secret };
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

/** Until each of these receivers has as many events as the record. */
async function caughtUp(all: readonly Hook[], from = 0): Promise<Event[]> {
  const untilMs = Date.now() + CATCH_UP_MS;
  for (;;) {
    const events = (await recordedEvents()).slice(from);
    const taken = await receivers.taken();
    if (all.every(({ index }) => taken[index]! >= events.length) || Date.now() > untilMs) return events;
    await sleep(250);
  }
}

test(
  "receivers get every event through kills, an orderly restart and a FLUSHALL; a flaky one the same bytes again",
  async () => {
    const well = [await hook(), await hook(), await hook()];
    const flaky = await hook(FLAKY);
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
    const ids = (await caughtUp([...well, flaky])).map(({ id }) => id);
    expect(ids.length).toBeGreaterThan(SIZES.intents * 4);
    for (const { index, secret } of [...well, flaky]) {
      const arrived = await receivers.arrived(index);
      const bodies = new Map<string, string>();
      for (const { body, event, headers } of arrived) {
        expect(bodies.get(event.id) ?? body).toBe(body);
        bodies.set(event.id, body);
        expect(() => new Webhook(secret).verify(body, headers)).not.toThrow();
      }
      expect([...bodies.keys()].toSorted()).toEqual(ids.toSorted());
    }
    const failed = (await receivers.arrived(flaky.index)).length - ids.length;
    expect(failed).toBeGreaterThan((ids.length * FLAKY) / 2);
  },
  TEST_TIMEOUT_MS + CATCH_UP_MS,
);

test(
  "each topic comes in the order of the record, also across a kill",
  async () => {
    const one = await hook();
    const before = (await recorded()).length;
    await market.under(async () => {
      await sleep(LOAD_MS / 3);
      const killed = market.stack.service("broadcast", 0);
      await killed.kill9();
      await killed.start();
      await sleep(LOAD_MS / 3);
      const other = market.stack.service("broadcast", 1);
      await other.kill9();
      await other.start();
    });
    const wanted = await caughtUp([one], before);
    const firsts = new Map<string, Event>();
    for (const { event } of await receivers.arrived(one.index)) if (!firsts.has(event.id)) firsts.set(event.id, event);
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
  const channel = client.realtime.channel(`backend:${market.backend.id}`, { cursor: page.next_cursor });
  try {
    const { value: message } = await channel[Symbol.asyncIterator]().next();
    if (message?.kind !== "event") throw new Error(JSON.stringify(message));
    const ids = await recorded();
    expect(message.event.id).toBe(ids[10]);
    const { body } = await call()<EventPage>("GET", `/v1/events?limit=1&after=${message.cursor}`);
    expect(body.data[0]!.id).toBe(ids[11]);
  } finally {
    await channel.close();
  }
});

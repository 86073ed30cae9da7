// A backend's feed through gateways that are killed, with NATS killed as well, under load: every event once and in order,
// against the record as oracle. The client is the public one; it resumes from its cursor by itself.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type ChannelMessage, createClient } from "@outcry/client";
import { parseTopic } from "@outcry/protocol";
import WebSocket from "ws";
import { type FaultMarket, startFaultMarket } from "./fault-market.js";
import { SIZES, TEST_TIMEOUT_MS } from "./sizes.js";

const GATEWAYS = 2;
const LOAD_MS = (1_000 * SIZES.intents) / SIZES.perSecond;
const KILLS = 4;
const CATCH_UP_MS = 20_000;

let market: FaultMarket;

beforeAll(async () => {
  market = await startFaultMarket({ services: { gateway: GATEWAYS } });
}, TEST_TIMEOUT_MS);

afterAll(async () => {
  await market.stop();
});

interface Watcher {
  ids: string[];
  others: ChannelMessage[];
  /** Events behind each break. */
  recoveries: number[];
  /** Times that it had to connect. */
  connects: () => number;
  stop: () => Promise<void>;
}

function watch(gateway: number): Watcher {
  let connects = 0;
  const client = createClient({
    url: market.stack.url,
    gatewayUrl: `${market.stack.service("gateway", gateway).url.replace("http", "ws")}/v1/ws`,
    apiKey: market.backend.secret,
    WebSocket,
  });
  const stopping = new AbortController();
  client.realtime.on("status", ({ state }) => (connects += Number(state === "open")));
  const channel = client.realtime.channel(`backend:${market.backend.id}`, { from: "start", signal: stopping.signal });
  const ids: string[] = [];
  const others: ChannelMessage[] = [];
  const recoveries: number[] = [];
  const reading = (async () => {
    try {
      for await (const message of channel) {
        if (message.kind === "event") ids.push(message.event.id);
        else if (message.kind === "recovered") recoveries.push(message.events);
        else others.push(message);
      }
    } catch (error) {
      if (!stopping.signal.aborted) throw error;
    }
  })();
  return {
    ids,
    others,
    recoveries,
    connects: () => connects,
    async stop() {
      stopping.abort();
      await reading;
    },
  };
}

test(
  "watchers of killed gateways miss nothing, get nothing twice, and keep the order",
  async () => {
    const watchers = Array.from({ length: GATEWAYS }, (_, gateway) => watch(gateway));
    const { history, report } = await market.under(async () => {
      for (let round = 0; round < KILLS; round++) {
        await sleep(LOAD_MS / (KILLS + 1));
        const gateway = market.stack.service("gateway", round % GATEWAYS);
        await gateway.kill9();
        if (round === 1) {
          await market.stack.brokers.nats.kill9();
          await market.stack.brokers.nats.restart();
        }
        await gateway.start();
      }
    });
    expect(report.violations).toEqual([]);

    const recorded = history.record.events
      .filter(({ subject }) => parseTopic(subject)?.kind === "intent")
      .map(({ value }) => value.id);
    const untilMs = Date.now() + CATCH_UP_MS;
    while (watchers.some(({ ids }) => ids.length < recorded.length) && Date.now() < untilMs) await sleep(100);
    await Promise.all(watchers.map((watcher) => watcher.stop()));
    for (const { ids, others, recoveries, connects } of watchers) {
      expect(ids).toEqual(recorded);
      expect(others).toEqual([]);
      expect(connects()).toBeGreaterThan(1);
      expect(recoveries.length).toBeGreaterThan(0);
    }
  },
  TEST_TIMEOUT_MS + CATCH_UP_MS,
);

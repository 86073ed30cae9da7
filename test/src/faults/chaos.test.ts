// Faults of every kind one after another, drawn by the seed, on two processes of each service under load.
// A soak (OUTCRY_SOAK, OUTCRY_SEED) runs it for longer and with other draws.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import type { ServiceName } from "../processes.js";
import { type FaultMarket, startFaultMarket } from "./fault-market.js";
import { SEED, SIZES, seeded, TEST_TIMEOUT_MS } from "./sizes.js";

const BETWEEN_MS = 1_000;
const PAUSE_MS = 4_500; // longer than the ack wait of a consumer: its messages come to another process meanwhile
const LOAD_MS = (1_000 * SIZES.intents) / SIZES.perSecond;

let market: FaultMarket;

beforeAll(async () => {
  market = await startFaultMarket({ services: { broadcast: 2, intake: 2 } });
}, TEST_TIMEOUT_MS);

afterAll(async () => {
  await market.stop();
});

type Fault = { name: string; run: () => Promise<void> };

function faults(random: () => number): Fault[] {
  const service = (name: ServiceName) => market.stack.service(name, random() < 0.5 ? 0 : 1);
  const { nats, redis } = market.stack.brokers;
  const ofService = (name: ServiceName): Fault[] => [
    {
      name: `kill ${name}`,
      run: async () => {
        const killed = service(name);
        await killed.kill9();
        await killed.start();
      },
    },
    {
      name: `pause ${name}`,
      run: async () => {
        const paused = service(name);
        paused.pause();
        await sleep(PAUSE_MS);
        paused.resume();
      },
    },
  ];
  return [
    ...ofService("broadcast"),
    ...ofService("intake"),
    {
      name: "kill nats",
      run: async () => {
        await nats.kill9();
        await nats.restart();
      },
    },
    {
      name: "kill redis",
      run: async () => {
        await redis.kill9();
        await redis.restart();
      },
    },
    {
      name: "flush redis",
      run: async () => {
        const client = new Redis(redis.url);
        await client.flushall();
        await client.quit();
      },
    },
  ];
}

test(
  "faults of every kind, one after another, lose and double nothing",
  async () => {
    const random = seeded(SEED);
    const kinds = faults(random);
    const done: string[] = [];
    const untilMs = Date.now() + LOAD_MS;
    const { report } = await market.under(
      async () => {
        while (Date.now() < untilMs) {
          await sleep(BETWEEN_MS);
          const fault = kinds[Math.floor(random() * kinds.length)]!;
          done.push(fault.name);
          await fault.run();
        }
      },
      // A paused process keeps its share of the acks to itself: its nodes look dead to the others.
      { perSecond: SIZES.perSecond, healthyRule: false },
    );
    console.log(`seed ${SEED}: ${done.join(", ")}; ${JSON.stringify(report.counts)}`);
    expect(report.violations).toEqual([]);
  },
  TEST_TIMEOUT_MS,
);

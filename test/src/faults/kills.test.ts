// kill -9 of each process and each server in mid-load, and a Redis that forgets everything: nothing is lost, nothing doubled.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { type FaultMarket, startFaultMarket } from "./fault-market.js";
import { SIZES, TEST_TIMEOUT_MS } from "./sizes.js";

const LOAD_MS = (1_000 * SIZES.intents) / SIZES.perSecond;

let market: FaultMarket;
let counts: Record<string, number>;

beforeAll(async () => {
  market = await startFaultMarket();
}, TEST_TIMEOUT_MS);

afterAll(async () => {
  await market.stop();
});

afterEach(() => {
  console.log(expect.getState().currentTestName, JSON.stringify(counts));
});

/** The load with the fault several times, evenly spread over it. */
async function loadUnder(times: number, fault: () => Promise<void>): Promise<void> {
  const { report } = await market.under(async () => {
    for (let round = 0; round < times; round++) {
      await sleep(LOAD_MS / (times + 1));
      await fault();
    }
  });
  counts = report.counts;
  expect(report.violations).toEqual([]);
}

describe("in mid-load", () => {
  test(
    "a kill -9 of the broadcast service loses and doubles nothing",
    () =>
      loadUnder(2, async () => {
        const broadcast = market.stack.service("broadcast");
        await broadcast.kill9();
        await broadcast.start();
      }),
    TEST_TIMEOUT_MS,
  );

  test(
    "a kill -9 of the intake service loses and doubles nothing",
    () =>
      loadUnder(2, async () => {
        const intake = market.stack.service("intake");
        await intake.kill9();
        await intake.start();
      }),
    TEST_TIMEOUT_MS,
  );

  test(
    "a kill -9 of nats-server loses and doubles nothing",
    () =>
      loadUnder(2, async () => {
        await market.stack.brokers.nats.kill9();
        await market.stack.brokers.nats.restart();
      }),
    TEST_TIMEOUT_MS,
  );

  test(
    "a kill -9 of redis-server loses and doubles nothing",
    () =>
      loadUnder(2, async () => {
        await market.stack.brokers.redis.kill9();
        await market.stack.brokers.redis.restart();
      }),
    TEST_TIMEOUT_MS,
  );

  test(
    "a FLUSHALL of Redis loses and doubles nothing: it is rebuilt from the record",
    () =>
      // Often: a quote waits in the queue for milliseconds only.
      loadUnder(10, async () => {
        const redis = new Redis(market.stack.brokers.redis.url);
        await redis.flushall();
        await redis.quit();
      }),
    TEST_TIMEOUT_MS,
  );
});

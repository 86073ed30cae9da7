// Two processes of each service share the work; one of each pair is killed in mid-load, and the others take over what it held.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type FaultMarket, startFaultMarket } from "./fault-market.js";
import { SIZES, TEST_TIMEOUT_MS } from "./sizes.js";

const LOAD_MS = (1_000 * SIZES.intents) / SIZES.perSecond;

let market: FaultMarket;

beforeAll(async () => {
  market = await startFaultMarket({ services: { broadcast: 2, intake: 2 } });
}, TEST_TIMEOUT_MS);

afterAll(async () => {
  await market.stop();
});

test(
  "two processes of each service lose and double nothing when one of each is killed for good",
  async () => {
    const { report } = await market.under(async () => {
      await sleep(LOAD_MS / 3);
      await market.stack.service("intake", 1).kill9();
      await sleep(LOAD_MS / 6);
      await market.stack.service("broadcast", 1).kill9();
    });
    console.log(JSON.stringify(report.counts));
    expect(report.violations).toEqual([]);
  },
  TEST_TIMEOUT_MS,
);

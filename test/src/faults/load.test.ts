// Many intents at once without a fault: what the fault tests then hold every kill and outage against.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type FaultMarket, startFaultMarket } from "./fault-market.js";
import { TEST_TIMEOUT_MS } from "./sizes.js";

let market: FaultMarket;

beforeAll(async () => {
  market = await startFaultMarket();
}, TEST_TIMEOUT_MS);

afterAll(async () => {
  await market.stop();
});

describe("a load of intents", () => {
  test(
    "ends each of them once, with every delivery final and every quote ranked or refused",
    async () => {
      if (process.env["DBG"]) console.log(market.sellers.map((s) => s.nodeId + " " + s.manner).join("\n"));
      const { report, posts } = await market.under(async () => undefined);
      console.log(JSON.stringify(report.counts), posts.length);
      expect(report.violations).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );
});

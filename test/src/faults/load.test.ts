// Many intents at once without a fault: what the fault tests then hold every kill and outage against. On its history the
// checker itself is checked: it must find each fault that is planted.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { checkHistory } from "./check-history.js";
import { type Checked, type FaultMarket, startFaultMarket } from "./fault-market.js";
import { PLANTS } from "./plants.js";
import { TEST_TIMEOUT_MS } from "./sizes.js";

let market: FaultMarket;
let checked: Checked;

beforeAll(async () => {
  market = await startFaultMarket();
  checked = await market.under(async () => undefined);
}, TEST_TIMEOUT_MS);

afterAll(async () => {
  await market.stop();
});

describe("a load of intents", () => {
  test("ends each of them once, with every delivery final and every quote ranked or refused", () => {
    console.log(JSON.stringify(checked.report.counts));
    expect(checked.report.violations).toEqual([]);
  });

  test("exercises every kind of end and of answer", () => {
    const kinds = [
      "closed",
      "expired",
      "cancelled",
      "deliveries quoted",
      "deliveries declined",
      "deliveries timed_out",
    ];
    for (const kind of [
      ...kinds,
      "deliveries dead",
      "deliveries recovered",
      "deliveries cancelled",
      "QUOTE_RECEIVED",
    ]) {
      expect([kind, checked.report.counts[kind] ?? 0]).not.toEqual([kind, 0]);
    }
  });
});

describe("the checker", () => {
  test.each(Object.entries(PLANTS))("finds a planted %s", (rule, plant) => {
    const history = structuredClone(checked.history);
    plant(history);
    expect(checkHistory(history).violations.map((violation) => violation.rule)).toContain(rule);
  });
});

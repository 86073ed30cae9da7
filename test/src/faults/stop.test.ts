// SIGTERM in mid-load: what is in hand is finished or given back, the process ends by itself within its grace, and the next
// start goes on where it left off.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { ServiceName } from "../processes.js";
import { type FaultMarket, startFaultMarket } from "./fault-market.js";
import { SIZES, TEST_TIMEOUT_MS } from "./sizes.js";

const LOAD_MS = (1_000 * SIZES.intents) / SIZES.perSecond;
const GRACE_MS = 15_000;

let market: FaultMarket;

beforeAll(async () => {
  market = await startFaultMarket({ env: { OUTCRY_SHUTDOWN_GRACE_MS: String(GRACE_MS) } });
}, TEST_TIMEOUT_MS);

afterAll(async () => {
  await market.stop();
});

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false; // no such process
  }
};

/** Stops it in order. Resolves with what its end looked like. */
async function terminated(name: ServiceName): Promise<{ code: number | null; tookMs: number }> {
  const service = market.stack.service(name);
  const { pid } = service;
  const askedAt = performance.now();
  const code = await service.terminate();
  expect(isAlive(pid)).toBe(false);
  return { code, tookMs: Math.round(performance.now() - askedAt) };
}

describe("a SIGTERM in mid-load", () => {
  for (const name of ["broadcast", "intake"] as const) {
    test(
      `ends the ${name} service in order, and the next start finishes what was in flight`,
      async () => {
        let end = { code: null as number | null, tookMs: 0 };
        const { report } = await market.under(async () => {
          await sleep(LOAD_MS / 2);
          end = await terminated(name);
          await market.stack.service(name).start();
        });
        console.log(name, JSON.stringify(end), JSON.stringify(report.counts));
        expect(end.code).toBe(0);
        expect(end.tookMs).toBeLessThan(GRACE_MS);
        expect(report.violations).toEqual([]);
      },
      TEST_TIMEOUT_MS,
    );

    test(
      `ends the ${name} service within its grace also while NATS and Redis are away`,
      async () => {
        const { nats, redis } = market.stack.brokers;
        const { report } = await market.under(async () => {
          await sleep(LOAD_MS / 2);
          await Promise.all([nats.kill9(), redis.kill9()]);
          const { code, tookMs } = await terminated(name);
          expect([name, code]).toEqual([name, 0]);
          expect(tookMs).toBeLessThan(GRACE_MS);
          await Promise.all([nats.restart(), redis.restart()]);
          await market.stack.service(name).start();
        });
        expect(report.violations).toEqual([]);
      },
      TEST_TIMEOUT_MS,
    );
  }
});

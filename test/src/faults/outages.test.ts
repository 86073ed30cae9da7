// A server that is away, or hangs, for longer than all attempts of a delivery take: no healthy node is called dead, and a
// backend is told to come again, within a bounded time.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { LIMITS } from "@outcry/protocol";
import { type Checked, type FaultMarket, startFaultMarket } from "./fault-market.js";
import { type History, indexRecord } from "./history.js";
import type { Try } from "./load.js";
import { SIZES, TEST_TIMEOUT_MS } from "./sizes.js";
import { nodeStory } from "./stories.js";

const INTENTS = SIZES.intents / 2;
const PER_SECOND = INTENTS / 4; // the posting begins before the outage and goes on well into it
const WINDOW_BEYOND_MS = LIMITS.outageGraceMaxMs + 15_000; // long enough for attempts to count again, and for three of them
const ANSWER_MS_MAX = 7_000; // a hanging server is noticed within 3 s; an append waits 5 s at most; the rest is a busy machine's

const STALL_MS = 2_000; // two attempts of three
const STALL_EXCUSES_MS = 5_000; // all of them; what is not answered later was not for want of CPU

let market: FaultMarket;

beforeAll(async () => {
  market = await startFaultMarket({ healthyOnly: true });
}, TEST_TIMEOUT_MS);

afterAll(async () => {
  await market.stop();
});

/** The load, while a server goes away after a second and comes back after the outage. */
async function duringOutage(server: "nats" | "redis", how: "killed" | "paused"): Promise<Checked> {
  const brokers = market.stack.brokers;
  const checked = await market.under(
    async () => {
      await sleep(1_000);
      if (how === "killed") await brokers[server].kill9();
      else brokers[server].pause();
      await sleep(SIZES.outageMs);
      if (how === "killed") await brokers[server].restart();
      else brokers[server].resume();
    },
    {
      intents: INTENTS,
      perSecond: PER_SECOND,
      endEarly: 0,
      windowMs: [SIZES.outageMs + WINDOW_BEYOND_MS, SIZES.outageMs + WINDOW_BEYOND_MS + 5_000],
    },
  );
  console.log(server, how, JSON.stringify(checked.report.counts), JSON.stringify(summaryOf(triesOf(checked))));
  return checked;
}

const triesOf = ({ posts }: Checked): Try[] => posts.flatMap(({ tries }) => tries);

function summaryOf(tries: Try[]): Record<string, number> {
  const summary: Record<string, number> = { slowestMs: Math.max(...tries.map(({ tookMs }) => tookMs)) };
  for (const { status, code } of tries)
    summary[`${status} ${code ?? ""}`] = (summary[`${status} ${code ?? ""}`] ?? 0) + 1;
  return summary;
}

function expectNothingDead({ report, posts, history }: Checked): void {
  expect(report.violations).toEqual([]);
  expect(posts.filter(({ accepted }) => accepted === undefined)).toEqual([]);
  expect(report.counts).toMatchObject({ closed: INTENTS });
  expect(lettersOf(history)).toEqual([]);
}

/** Each with its story: such a letter is seen once in many runs. Without those of nodes whose process stood still just before. */
function lettersOf({ record, stalls }: History): string[] {
  const index = indexRecord(record);
  const stoodStill = (timeMs: number) =>
    stalls.some(({ fromMs, toMs }) => toMs - fromMs >= STALL_MS && fromMs < timeMs && toMs > timeMs - STALL_EXCUSES_MS);
  return [...index.dead].flatMap(([subject, [letter]]) => {
    if (stoodStill(letter!.timeMs)) return [];
    const [, intentId, node] = subject.split(".");
    return [`${subject} at ${letter!.timeMs}: ${nodeStory(index, intentId!, node!)}; stalls ${JSON.stringify(stalls)}`];
  });
}

function expectComeAgain(tries: Try[]): void {
  const refused = tries.filter(({ status }) => status !== 202);
  expect(refused.filter(({ status, retryAfter }) => status !== 503 || !retryAfter)).toEqual([]);
  expect(Math.max(...tries.map(({ tookMs }) => tookMs))).toBeLessThan(ANSWER_MS_MAX);
}

describe("while NATS", () => {
  for (const how of ["killed", "paused"] as const) {
    test(
      `is ${how} for ${SIZES.outageMs / 1_000} s, nothing healthy is dead-lettered and POST answers 503 until it is back`,
      async () => {
        const checked = await duringOutage("nats", how);
        expectNothingDead(checked);
        expectComeAgain(triesOf(checked));
        expect(triesOf(checked).some(({ status }) => status === 503)).toBe(true);
      },
      TEST_TIMEOUT_MS,
    );
  }
});

describe("while Redis", () => {
  for (const how of ["killed", "paused"] as const) {
    test(
      `is ${how} for ${SIZES.outageMs / 1_000} s, nothing healthy is dead-lettered and POST is answered`,
      async () => {
        const checked = await duringOutage("redis", how);
        expectNothingDead(checked);
        expectComeAgain(triesOf(checked));
      },
      TEST_TIMEOUT_MS,
    );
  }
});

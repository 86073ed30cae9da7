// Random histories through the event-source port by the thousand, the stream itself as oracle (docs/gateway-protocol.md §4). Seeds are in the
// test names.

import { describe, expect, test } from "@jest/globals";
import { forward, seeded } from "./engine.fixture.js";
import { GAP, type Published, WHOLE, wrongOf } from "./history-reader.fixture.js";
import { expectSound, historySeeds, named } from "./history-seeds.fixture.js";
import { History, type HistoryOptions, type HistoryWorld } from "./history.fixture.js";
import { MemorySource } from "./log/memory-source.fixture.js";

const SEEDS = historySeeds(150, 5_000); // of each of the two kinds
const TIMEOUT_MS = 30_000 + SEEDS.length * 400;
const KEPT = { steps: 120, destructive: false } as const;
const DESTRUCTIVE = { steps: 120, destructive: true } as const;

function memoryWorld(seed: number): HistoryWorld {
  const source = new MemorySource();
  const random = seeded(seed ^ 0x5eed);
  let epochs = 1;
  source.fate = () => {
    const roll = random();
    return roll < 0.08 ? "lost" : roll < 0.12 ? "late" : roll < 0.16 ? "twice" : "now";
  };
  return {
    source: () => forward(source),
    publish: (subject, n) => void source.publish(subject, n),
    deliverLate: () => source.deliverLate(),
    toggle: () => source.setUp(!source.up),
    bringUp: () => {
      if (!source.up) source.setUp(true);
    },
    calm: () => (source.fate = () => "now"),
    trim: (count) => source.trim(count),
    recreate() {
      source.recreate(`e${++epochs}`);
      source.setUp(false);
      source.setUp(true);
    },
  };
}

async function runAll(options: HistoryOptions) {
  const sum = { gaps: 0, resets: 0, resumed: 0, killed: 0 };
  for (const seed of SEEDS) {
    const result = await new History(memoryWorld(seed), seed, options).run();
    expectSound("histories", seed, result, options);
    sum.resets += result.resets;
    sum.killed += result.killed;
    for (const { gaps, resumed } of result.readers) {
      sum.gaps += gaps;
      sum.resumed += resumed;
    }
  }
  return sum;
}

describe("random histories of loss, doubling, reordering, slow readers, outages and kills, two gateways on one source", () => {
  test(
    `4.3: nothing missed, nothing doubled, order kept, no gap told (${named(SEEDS)})`,
    async () => {
      const { killed, resumed } = await runAll(KEPT);
      const isAlone = new Set(SEEDS).size === 1; // which may have none of either
      expect({ killed: isAlone || killed > SEEDS.length, resumed: isAlone || resumed > SEEDS.length }).toEqual({
        killed: true,
        resumed: true,
      });
    },
    TIMEOUT_MS,
  );

  test(
    `4.4, 4.8: with trimming and streams made anew every gap is told, none is called recovered (${named(SEEDS)})`,
    async () => {
      const { gaps, resets, resumed } = await runAll(DESTRUCTIVE);
      for (const count of [gaps, resets, resumed]) expect(count).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );
});

describe("the judge of histories finds", () => {
  const published: Published[] = [1, 2, 3, 4, 5, 6].map((n) => ({ n, subject: n % 2 === 1 ? "rt.t.g.x" : "rt.t.g.y" }));

  test.each<[string, readonly number[], string | undefined]>([
    ["nothing in a whole one", [WHOLE, 1, 3, 5], undefined],
    ["nothing behind a gap that was told", [WHOLE, 1, GAP, 5], undefined],
    ["a loss", [WHOLE, 1, 5], "one:x: 3 is missing before 5"],
    ["a first event that is lost behind a promise", [WHOLE, 3, 5], "one:x: 1 is missing before 3"],
    ["a double", [WHOLE, 1, 1, 3, 5], "one:x: 1 is doubled, out of order or foreign"],
    ["a wrong order", [WHOLE, 1, 5, 3], "one:x: 3 is missing before 5"],
    ["another channel's event", [WHOLE, 1, 2, 3, 5], "one:x: 2 is doubled, out of order or foreign"],
    ["a repetition behind a gap", [WHOLE, 1, 3, GAP, 3, 5], "one:x: 3 is doubled, out of order or foreign"],
    ["an end that is missing", [WHOLE, 1, 3], "one:x: ends before 5 of 5"],
  ])("%s", (_name, seen, wrong) => {
    expect(wrongOf("one:x", seen, published)).toBe(wrong);
  });
});

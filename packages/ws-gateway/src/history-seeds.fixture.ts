// Which histories are run. A failure names the variable that runs it alone; OUTCRY_SOAK multiplies, OUTCRY_SEED moves the first seed.

import { expect } from "@jest/globals";
import { GAP, wrongOf } from "./history-reader.fixture.js";
import type { HistoryOptions, HistoryResult } from "./history.fixture.js";

const FACTOR = Math.max(1, Number(process.env["OUTCRY_SOAK"] ?? 1));
const FIRST = Number(process.env["OUTCRY_SEED"] ?? 1);
const ALONE = process.env["OUTCRY_HISTORY"];
/** What the machine does with a seed it does not repeat exactly: one alone is run so many times. */
const REPEATED = 100;

/** `sample` of them in `npm test`, `full` at the soak's factor of 10. */
export function historySeeds(sample: number, full: number): readonly number[] {
  if (ALONE !== undefined) return Array.from({ length: REPEATED }, () => Number(ALONE));
  const count = FACTOR === 1 ? sample : Math.max(sample, Math.round((full * FACTOR) / 10));
  return Array.from({ length: count }, (_, at) => FIRST + at);
}

export const named = (seeds: readonly number[]): string =>
  `${seeds.length} histories, seeds ${seeds[0]} to ${seeds.at(-1)}`;

/** Throws what is wrong, with the way to run it again. */
export function expectSound(suite: string, seed: number, result: HistoryResult, { destructive }: HistoryOptions): void {
  const again = `OUTCRY_HISTORY=${seed} npm run soak -- --only ${suite}`;
  for (const { channel, seen, gaps } of result.readers) {
    const wrong = wrongOf(channel, seen, result.published, result.starts);
    const untold = destructive ? 0 : gaps; // nothing was lost: a gap that is told is a false one
    expect({ again, wrong, falseGaps: untold }).toEqual({ again, wrong: undefined, falseGaps: 0 });
    expect({ again, ends: seen.at(-1) === GAP }).toEqual({ again, ends: false });
  }
}

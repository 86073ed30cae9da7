// npm run bench -- compare A B: two saved runs row by row. A change counts when the spreads of the rounds do not meet;
// ratios are compared, not rates, since the machine may have been another one or busy.

import { readFileSync } from "node:fs";
import { type Figures, totalCpu } from "./measure.js";
import { aligned } from "./table.js";

export interface SavedRun {
  machine: { started: string; node: string; nats: string; redis: string; cpus: number };
  figures: Figures[];
}

/** Throws for a file that is no saved run. */
export function readRun(file: string): SavedRun {
  const run = JSON.parse(readFileSync(file, "utf8")) as Partial<SavedRun>;
  if (!Array.isArray(run.figures) || run.machine === undefined)
    throw new TypeError(`${file} is no saved run of the bench`);
  return run as SavedRun;
}

const HEAD = ["row", "ratio A", "(rounds)", "ratio B", "(rounds)", "change", "", "CPU µs A", "CPU µs B"];

export function compareRuns(one: SavedRun, other: SavedRun): string {
  const rows = other.figures.flatMap((after) => {
    const before = one.figures.find(({ label }) => label === after.label);
    return before === undefined ? [] : [lineOf(before, after)];
  });
  const missing = labelsOnlyIn(one, other).map((label) => `only in A: ${label}`);
  const added = labelsOnlyIn(other, one).map((label) => `only in B: ${label}`);
  return [`A  ${describe(one)}`, `B  ${describe(other)}`, "", aligned([HEAD, ...rows]), ...missing, ...added].join(
    "\n",
  );
}

function lineOf(before: Figures, after: Figures): string[] {
  const change = (100 * (after.ratio - before.ratio)) / before.ratio;
  return [
    after.label,
    before.ratio.toFixed(2),
    range(before),
    after.ratio.toFixed(2),
    range(after),
    `${change >= 0 ? "+" : "−"}${Math.abs(change).toFixed(0)} %`,
    verdictOf(before, after),
    totalCpu(before.ours).toFixed(1),
    totalCpu(after.ours).toFixed(1),
  ];
}

/** A goal of p99 is a time: less is better. */
export function verdictOf(before: Figures, after: Figures): "better" | "worse" | "same" {
  const [wasLow, wasHigh] = before.ratioRange;
  const [low, high] = after.ratioRange;
  const risen = low > wasHigh;
  if (!risen && high >= wasLow) return "same";
  return risen === (after.goal?.of !== "p99") ? "better" : "worse";
}

const range = ({ ratioRange }: Figures): string => ratioRange.map((ratio) => ratio.toFixed(2)).join("–");
const labelsOnlyIn = (one: SavedRun, other: SavedRun): string[] =>
  one.figures.map(({ label }) => label).filter((label) => !other.figures.some((row) => row.label === label));
const describe = ({ machine: { started, node, nats, redis, cpus } }: SavedRun): string =>
  `${started}  node ${node}, nats-server ${nats}, redis-server ${redis}, ${cpus} CPUs`;

// npm run bench -- compare A B: two saved runs row by row. A change counts when the spreads of the rounds do not meet;
// ratios are compared, not rates, since the machine may have been another one or busy.

import { readFileSync } from "node:fs";
import { type Growth, sizeText, stepsOf, valueText } from "./growth.js";
import { type Figures, totalCpu } from "./measure.js";
import { aligned } from "./table.js";

export interface SavedRun {
  machine: { started: string; node: string; nats: string; redis: string; cpus: number };
  figures: Figures[];
  /** Absent in runs from before there was any. */
  growth?: Growth[];
}

/** Throws for a file that is no saved run. */
export function readRun(file: string): SavedRun {
  const run = JSON.parse(readFileSync(file, "utf8")) as Partial<SavedRun>;
  if (!Array.isArray(run.figures) || run.machine === undefined)
    throw new TypeError(`${file} is no saved run of the bench`);
  return run as SavedRun;
}

const GROWTH_HEAD = ["growth", "at", "A", "B", "change", "most per tenfold A", "B"];
const HEAD = ["row", "ratio A", "(rounds)", "ratio B", "(rounds)", "change", "", "CPU µs A", "CPU µs B"];

export function compareRuns(one: SavedRun, other: SavedRun): string {
  const rows = other.figures.flatMap((after) => {
    const before = one.figures.find(({ label }) => label === after.label);
    return before === undefined ? [] : [lineOf(before, after)];
  });
  const missing = labelsOnlyIn(one, other).map((label) => `only in A: ${label}`);
  const added = labelsOnlyIn(other, one).map((label) => `only in B: ${label}`);
  const grown = growthLines(one.growth ?? [], other.growth ?? []);
  const tables = [
    ...(rows.length === 0 ? [] : [aligned([HEAD, ...rows])]),
    ...(grown.length === 0 ? [] : [aligned([GROWTH_HEAD, ...grown])]),
  ];
  return [`A  ${describe(one)}`, `B  ${describe(other)}`, "", tables.join("\n\n"), ...missing, ...added].join("\n");
}

/** At the largest size that both runs reached. Growth is measured once per size: what differs is told, not judged. */
function growthLines(before: readonly Growth[], after: readonly Growth[]): string[][] {
  return after.flatMap((growth) => {
    const old = before.find(({ label, grows }) => label === growth.label && grows === growth.grows);
    const point = growth.points.findLast(({ size }) => old?.points.some((one) => one.size === size));
    const oldPoint = old?.points.find(({ size }) => size === point?.size);
    if (old === undefined || point === undefined || oldPoint === undefined) return [];
    return [
      [
        `${growth.label} (${growth.unit})`,
        `${sizeText(point.size)} ${growth.grows}`,
        valueText(oldPoint.perItem),
        valueText(point.perItem),
        changeText(oldPoint.perItem, point.perItem),
        mostText(old),
        mostText(growth),
      ],
    ];
  });
}

function mostText(growth: Growth): string {
  const factors = stepsOf(growth).map(({ factor }) => factor);
  return factors.length === 0 ? "–" : `×${Math.max(...factors).toFixed(2)}`;
}

function changeText(before: number, after: number): string {
  const change = (100 * (after - before)) / before;
  return `${change >= 0 ? "+" : "−"}${Math.abs(change).toFixed(0)} %`;
}

function lineOf(before: Figures, after: Figures): string[] {
  return [
    after.label,
    before.ratio.toFixed(2),
    range(before),
    after.ratio.toFixed(2),
    range(after),
    changeText(before.ratio, after.ratio),
    verdictOf(before, after),
    totalCpu(before.ours).toFixed(1),
    totalCpu(after.ours).toFixed(1),
  ];
}

/** Where the goal is a bound, less is better. */
export function verdictOf(before: Figures, after: Figures): "better" | "worse" | "same" {
  const [wasLow, wasHigh] = before.ratioRange;
  const [low, high] = after.ratioRange;
  const risen = low > wasHigh;
  if (!risen && high >= wasLow) return "same";
  return risen === (after.goal === undefined || after.goal.of === "rate") ? "better" : "worse";
}

const range = ({ ratioRange }: Figures): string => ratioRange.map((ratio) => ratio.toFixed(2)).join("–");
const labelsOnlyIn = (one: SavedRun, other: SavedRun): string[] =>
  one.figures.map(({ label }) => label).filter((label) => !other.figures.some((row) => row.label === label));
const describe = ({ machine: { started, node, nats, redis, cpus } }: SavedRun): string =>
  `${started}  node ${node}, nats-server ${nats}, redis-server ${redis}, ${cpus} CPUs`;

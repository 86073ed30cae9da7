// How time and memory per item change while something grows tenfold and tenfold again. A step is super-linear when an item costs more
// than it did at a tenth of the size, by more than a tolerance for what a busy machine adds, and goes on doing so at larger sizes.

import { aligned } from "./table.js";

/** Time and memory per item may grow by so much per tenfold: two runs of the same size differ by a third on a busy machine. */
export const TOLERANCE = 1.5;
/** Of a 99th percentile: a few answers decide it. */
export const TAIL_TOLERANCE = 3;

export interface Growth {
  /** What is measured: `POST, p50`. */
  label: string;
  what: "time" | "memory";
  /** Of one value: `ms per POST`. */
  unit: string;
  /** What grows: `intents stored`. */
  grows: string;
  tolerance: number;
  /** Of a raw loop beside ours: shown as the cause, not judged. */
  isRaw: boolean;
  /** Why it grows, where that is known and not ours to change. */
  cause?: string;
  points: GrowthPoint[];
}

export interface GrowthPoint {
  size: number;
  /** Time or memory of one item at this size. */
  perItem: number;
}

export interface GrowthStep {
  from: number;
  to: number;
  /** perItem at `to` by perItem at `from`, as if exactly tenfold lay between. */
  factor: number;
  /** Beyond the tolerance at `to` and at every larger size: what a larger size does not have was the machine's. */
  superLinear: boolean;
}

export function stepsOf({ points, tolerance, isRaw }: Growth): GrowthStep[] {
  return points.slice(1).map((point, index) => {
    const before = points[index]!;
    const perTenfold = (perItem: number) => (perItem / before.perItem) ** (1 / Math.log10(point.size / before.size));
    const lasting = Math.min(...points.slice(index + 1).map(({ perItem }) => perItem));
    return {
      from: before.size,
      to: point.size,
      factor: perTenfold(point.perItem),
      superLinear: !isRaw && perTenfold(lasting) > tolerance,
    };
  });
}

export const isSuperLinear = (growth: Growth): boolean => stepsOf(growth).some(({ superLinear }) => superLinear);

export const sizeText = (size: number): string => size.toLocaleString("en");
export const valueText = (value: number): string => value.toPrecision(3).replace(/e\+?/, "e");

/** A table per thing that grows, and one line for all. */
export function growthTable(all: readonly Growth[]): string {
  const kinds = [...new Set(all.map(({ grows }) => grows))];
  const tables = kinds.map((grows) =>
    tableOf(
      grows,
      all.filter((growth) => growth.grows === grows),
    ),
  );
  return [...tables, verdictLine(all)].join("\n\n");
}

function tableOf(grows: string, all: readonly Growth[]): string {
  const sizes = [...new Set(all.flatMap(({ points }) => points.map(({ size }) => size)))].sort((a, b) => a - b);
  const rows = all.map((growth) => [
    `${growth.label} (${growth.unit})`,
    ...sizes.map((size) => valueAt(growth, size)),
    stepsOf(growth)
      .map(({ factor }) => `×${factor.toFixed(2)}`)
      .join(" "),
    growth.isRaw ? "–" : `≤ ×${growth.tolerance}`,
    growth.isRaw ? "raw" : isSuperLinear(growth) ? "SUPER-LINEAR" : "ok",
  ]);
  return aligned([[grows, ...sizes.map(sizeText), "per tenfold", "allowed", ""], ...rows]);
}

function valueAt({ points }: Growth, size: number): string {
  const point = points.find((one) => one.size === size);
  return point === undefined ? "–" : valueText(point.perItem);
}

function verdictLine(all: readonly Growth[]): string {
  const wrong = all.flatMap((growth) =>
    stepsOf(growth)
      .filter(({ superLinear }) => superLinear)
      .map(
        ({ from, to, factor }) =>
          `${growth.label}, ${sizeText(from)} → ${sizeText(to)} ${growth.grows}: ×${factor.toFixed(2)} per tenfold, allowed ×${growth.tolerance}` +
          (growth.cause === undefined ? "" : ` (${growth.cause})`),
      ),
  );
  return wrong.length === 0
    ? "No super-linear step: no item costs more at ten times the size, within the tolerance."
    : ["Super-linear steps:", ...wrong.map((line) => `  ${line}`)].join("\n");
}

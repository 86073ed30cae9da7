// A line of the table from costs that were taken once per round and side: memory, a time of its own. Less is better.

import type { Figures, Goal, SideFigures } from "./measure.js";
import { median } from "./statistics.js";

export interface Costs {
  row: string;
  label: string;
  /** Of one cost: `KiB per connection`. */
  unit: string;
  limitIs: string;
  conditions: string;
  goal: (Goal & { of: "cost" }) | undefined;
  /** One per round. */
  limit: number[];
  ours: number[];
  peakMemoryMiB?: Record<string, number>;
  notes: string[];
}

export function costFigures({ limit, ours, peakMemoryMiB = {}, ...told }: Costs): Figures {
  const ratios = ours.map((cost, round) => cost / limit[round]!);
  return {
    ...told,
    limit: sideOf(limit),
    ours: sideOf(ours),
    ratio: median(ratios),
    ratioRange: [Math.min(...ratios), Math.max(...ratios)],
    foreign: 0,
    peakMemoryMiB,
  };
}

const sideOf = (costs: number[]): SideFigures => ({
  rounds: costs.map((rate) => ({ rate, items: 1, seconds: 0 })),
  rate: median(costs),
  p50Ms: Number.NaN,
  p99Ms: Number.NaN,
  latencies: 0,
  cpuUsPerMessage: {},
});

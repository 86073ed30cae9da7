// Limit and Outcry in turns, one after the other in each round, so that whatever else the machine does meets both.

import { availableParallelism } from "node:os";
import type { Run } from "./closed-loop.js";
import { cpuUs, machineBusyUs, peakMemoryMiB } from "./process-cost.js";
import { median, percentile, sum } from "./statistics.js";

export interface Side {
  /** Untimed: what the run will send. */
  prepare(count: number): Promise<void>;
  run(): Promise<Run>;
  /** Untimed: until nothing of the run is left to do. */
  settle?(): Promise<void>;
  /** Not counted at the start of a run. */
  rampMs?: number;
}

/** `cost`: what stands where a rate would is less the better it is. */
export type Goal = { of: "rate"; atLeast: number } | { of: "p99" | "cost"; atMost: number };

/** One line of the table. */
export interface Comparison {
  label: string;
  /** Of a rate: `pairs/s`, `posts/s`, `deliveries per CPU second`. */
  unit: string;
  /** Messages of one item: an intent to 1,000 nodes is 1,000 pairs. */
  perItem: number;
  limit: Side;
  ours: Side;
  limitIs: string;
  /** Connections, in flight, processes. */
  conditions: string;
  /** Of DESIGN "Speed to reach"; undefined = shown for information. */
  goal: Goal | undefined;
  /** Items of the first run, before a rate is known. */
  firstCount: number;
  countMax: number;
  pids: Readonly<Record<string, number>>;
}

export interface SideFigures {
  rounds: { rate: number; items: number; seconds: number }[];
  /** Median over the rounds, messages per second. */
  rate: number;
  p50Ms: number;
  p99Ms: number;
  latencies: number;
  /** By process. */
  cpuUsPerMessage: Record<string, number>;
}

export interface Figures {
  row: string;
  label: string;
  unit: string;
  limitIs: string;
  conditions: string;
  goal: Comparison["goal"];
  limit: SideFigures;
  ours: SideFigures;
  /** Median of the rounds' own ratios; of p99 over all rounds where the goal is one. */
  ratio: number;
  ratioRange: [number, number];
  /** Share of the machine's CPU that other processes had while it was measured, median of the rounds. */
  foreign: number;
  peakMemoryMiB: Record<string, number>;
  notes: string[];
}

const WARM_UPS_MAX = { figures: 8, sample: 2 };
const SAMPLE_SECONDS = 0.5; // shorter rounds are a sample: nobody reads its figures
const FASTER = 1.1; // two runs of the same code differ by as much
const FOREIGN_TOLD = 0.05; // the kernel's own threads have less

export interface MeasureOptions {
  rounds: number;
  seconds: number;
  progress: (text: string) => void;
}

export async function measure(row: string, comparison: Comparison, options: MeasureOptions): Promise<Figures> {
  const { rounds, progress } = options;
  const limit = new Measured(comparison, comparison.limit);
  const ours = new Measured(comparison, comparison.ours);
  progress("warm-up");
  for (const side of [limit, ours]) await side.warmUp(options.seconds);
  for (let round = 1; round <= rounds; round++) {
    // In turns, too, who comes first: each is half of the time behind the other.
    for (const side of round % 2 === 1 ? [limit, ours] : [ours, limit]) await side.round();
    const ratio = ours.lastRate / limit.lastRate;
    progress(
      `round ${round} of ${rounds}: ${rounded(limit.lastRate)} → ${rounded(ours.lastRate)} (${ratio.toFixed(2)})`,
    );
  }
  return figuresOf(row, comparison, limit, ours);
}

const rounded = (rate: number): string => Math.round(rate).toLocaleString("en");

class Measured {
  readonly rounds: SideFigures["rounds"] = [];
  readonly roundLatencies: number[][] = [];
  /** Share of the machine that processes of others had, by round. */
  readonly foreign: number[] = [];
  readonly #cpuUs: Record<string, number> = {};
  readonly #side: Side;
  readonly #comparison: Comparison;
  #messages = 0;
  #count: number;

  constructor(comparison: Comparison, side: Side) {
    this.#comparison = comparison;
    this.#side = side;
    this.#count = comparison.firstCount;
  }

  get lastRate(): number {
    return this.rounds.at(-1)!.rate;
  }

  /** Until it gets no faster: then its code is compiled, and it is known how many items fill a round. */
  async warmUp(seconds: number): Promise<void> {
    const runsMax = WARM_UPS_MAX[seconds < SAMPLE_SECONDS ? "sample" : "figures"];
    for (let run = 0, before = 0; run < runsMax && this.#count > before * FASTER; run++) {
      before = this.#count;
      await this.#side.prepare(this.#count);
      const { count, seconds: took } = await this.#side.run();
      await this.#side.settle?.();
      const wanted = (count / took) * (seconds + (this.#side.rampMs ?? 0) / 1_000);
      this.#count = Math.min(this.#comparison.countMax, Math.max(this.#comparison.firstCount, Math.ceil(wanted)));
    }
  }

  async round(): Promise<void> {
    const { pids, perItem } = this.#comparison;
    await this.#side.prepare(this.#count);
    const before = mapOf(pids, cpuUs);
    const busyBefore = machineBusyUs();
    const fromMs = performance.now();
    const run = await this.#side.run();
    const elapsedUs = (performance.now() - fromMs) * 1_000;
    const busyAfter = machineBusyUs();
    const after = mapOf(pids, cpuUs);
    let ownUs = 0;
    for (const [name, until] of Object.entries(after)) {
      const spent = until - before[name]!;
      this.#cpuUs[name] = (this.#cpuUs[name] ?? 0) + spent;
      ownUs += spent;
    }
    if (busyBefore !== undefined && busyAfter !== undefined)
      this.foreign.push((busyAfter - busyBefore - ownUs) / (elapsedUs * availableParallelism()));
    this.#messages += this.#count * perItem;
    this.roundLatencies.push(run.latenciesMs);
    this.rounds.push({ rate: (run.count * perItem) / run.seconds, items: run.count, seconds: run.seconds });
    await this.#side.settle?.();
  }

  figures(): SideFigures {
    const latencies = this.roundLatencies.flat();
    return {
      rounds: this.rounds,
      rate: median(this.rounds.map(({ rate }) => rate)),
      p50Ms: percentile(latencies, 0.5),
      p99Ms: percentile(latencies, 0.99),
      latencies: latencies.length,
      cpuUsPerMessage: Object.fromEntries(Object.entries(this.#cpuUs).map(([name, us]) => [name, us / this.#messages])),
    };
  }
}

function figuresOf(row: string, comparison: Comparison, limit: Measured, ours: Measured): Figures {
  const { label, unit, limitIs, conditions, goal, pids } = comparison;
  const [limitFigures, oursFigures] = [limit.figures(), ours.figures()];
  const ratios = ours.rounds.map((_, index) =>
    goal?.of === "p99"
      ? percentile(ours.roundLatencies[index]!, 0.99) / percentile(limit.roundLatencies[index]!, 0.99)
      : ours.rounds[index]!.rate / limit.rounds[index]!.rate,
  );
  const shares = [...limit.foreign, ...ours.foreign];
  const foreign = shares.length === 0 ? 0 : median(shares);
  return {
    row,
    label,
    unit,
    limitIs,
    conditions,
    goal,
    limit: limitFigures,
    ours: oursFigures,
    ratio: goal?.of === "p99" ? oursFigures.p99Ms / limitFigures.p99Ms : median(ratios),
    ratioRange: [Math.min(...ratios), Math.max(...ratios)],
    foreign,
    peakMemoryMiB: mapOf(pids, peakMemoryMiB),
    notes:
      foreign > FOREIGN_TOLD ? [`disturbed: other processes had ${Math.round(foreign * 100)} % of the machine`] : [],
  };
}

/** Without the processes that tell nothing. */
function mapOf(
  pids: Readonly<Record<string, number>>,
  read: (pid: number) => number | undefined,
): Record<string, number> {
  const entries = Object.entries(pids).map(([name, pid]) => [name, read(pid)] as const);
  return Object.fromEntries(entries.filter((entry): entry is [string, number] => entry[1] !== undefined));
}

/** All CPU of all processes, µs per message. */
export const totalCpu = (side: SideFigures): number => sum(Object.values(side.cpuUsPerMessage));

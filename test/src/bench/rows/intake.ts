// From a node's quote request until its announcement: stored, verified, ranked, told.

import path from "node:path";
import type { Run } from "../closed-loop.js";
import { type Comparison, type Figures, type Side, measure } from "../measure.js";
import { type Rig, startRig } from "../rig.js";
import { median } from "../statistics.js";
import type { RowContext } from "./row.js";

const QUOTING = 100; // nodes that quote on every intent
const SILENT = 1; // acks and never quotes, so that no intent ends in the middle of a round
const IN_FLIGHT = 200;
const SAMPLES = 500;

export async function intakeRow(context: RowContext): Promise<Figures[]> {
  const rig = await startRig({ ...context, sellers: QUOTING + SILENT, intake: true });
  try {
    const steps: Record<string, number>[] = [];
    const comparison = comparisonOf(rig, steps);
    await prepareQuotes(rig, SAMPLES);
    await rig.intake!.call("takeSamples", await rig.load.call("sampleQuotes", SAMPLES));
    const progress = (text: string) => context.progress(`${comparison.label}: ${text}`);
    const figures = await measure("intake", comparison, { ...context, progress });
    figures.notes.push(`the bare steps alone, per second: ${stepRates(steps.slice(-context.rounds))}`);
    if (context.profile) await profileOnce(rig, comparison.ours, context.profile, figures);
    return [figures];
  } finally {
    await rig.stop();
  }
}

function comparisonOf(rig: Rig, steps: Record<string, number>[]): Comparison {
  let bareCount = 0;
  const limit: Side = {
    prepare: async (count) => void (bareCount = count),
    async run(): Promise<Run> {
      const { stepSeconds, ...run } = await rig.intake!.call("runBareSteps", bareCount);
      steps.push(Object.fromEntries(Object.entries(stepSeconds).map(([step, seconds]) => [step, run.count / seconds])));
      return run;
    },
  };
  const ours: Side = {
    prepare: (count) => prepareQuotes(rig, count),
    run: () => rig.load.call("runQuotes", IN_FLIGHT),
  };
  return {
    label: "quotes ranked and announced",
    unit: "quotes/s",
    perItem: 1,
    limit,
    ours,
    limitIs: "group-committed append, BullMQ no-op job, verify, one after another: 1/Σ(1/rate)",
    conditions: `${IN_FLIGHT} quotes in flight until "stored", ${QUOTING} quotes per intent, nodes on ${rig.sellerConnections} connections of one process; intake and broadcast in a process each; bare: batches of ${IN_FLIGHT}, 128 jobs at once, verify in the thread pool`,
    goal: { of: "rate", atLeast: 0.7 },
    firstCount: 400,
    countMax: 20_000,
    pids: rig.pids,
  };
}

/** Fresh intents to all sellers, acked and recorded, then one signed quote per seller and intent. */
async function prepareQuotes(rig: Rig, count: number): Promise<void> {
  const nodes = [...rig.nodes];
  await rig.load.call("forgetIntents");
  await rig.service.call("prepareIntents", { count: Math.ceil(count / QUOTING), nodes });
  await rig.service.call("runFanOut", { inFlight: 8, nodes, rampMs: 0, append: true });
  await rig.load.call("prepareQuotes", { count, silent: SILENT });
}

const stepRates = (steps: Record<string, number>[]): string =>
  Object.keys(steps[0] ?? {})
    .map((step) => `${step} ${Math.round(median(steps.map((rates) => rates[step]!))).toLocaleString("en")}`)
    .join(", ");

async function profileOnce(rig: Rig, side: Side, folder: string, figures: Figures): Promise<void> {
  await side.prepare(figures.ours.rounds[0]!.items);
  await rig.intake!.call("startProfile");
  await side.run();
  await rig.intake!.call("endProfile", path.join(folder, "intake.cpuprofile"));
}

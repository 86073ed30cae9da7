// From a record that is appended to INTENTS until every node's ack is in EVENTS and in the delivery row.

import path from "node:path";
import { type Comparison, type Figures, type Side, measure } from "../measure.js";
import { type Rig, startRig } from "../rig.js";
import type { RowContext } from "./row.js";

const IN_FLIGHT = 8;
/** Beside the goals' 8: as many pairs on the way as with more nodes, which small fan-outs need before anything of theirs is batched. */
const SIZES = [
  { nodes: 1_000, inFlight: IN_FLIGHT },
  { nodes: 100, inFlight: IN_FLIGHT },
  { nodes: 10, inFlight: IN_FLIGHT },
  { nodes: 100, inFlight: 16 },
  { nodes: 10, inFlight: 64 },
] as const;
const RETRY_TIMERS_MS = 600; // longer than the ack timeout, after which each intent costs its retry timer

export async function fanOutRow(context: RowContext): Promise<Figures[]> {
  const rig = await startRig({ ...context, sellers: 1_000 });
  try {
    const figures: Figures[] = [];
    for (const { nodes, inFlight } of SIZES) figures.push(await oneSize(rig, nodes, context, inFlight));
    return figures;
  } finally {
    await rig.stop();
  }
}

export async function oneSize(
  rig: Rig,
  nodes: number,
  context: RowContext,
  inFlight: number = IN_FLIGHT,
): Promise<Figures> {
  const comparison = comparisonOf(rig, nodes, inFlight, Math.min(RETRY_TIMERS_MS, context.seconds * 1_000));
  const before = await rig.service.call("counted");
  const figures = await measure("fan-out", comparison, {
    ...context,
    progress: (text) => context.progress(`${comparison.label}: ${text}`),
  });
  const after = await rig.service.call("counted");
  const retried = after.retried - before.retried;
  if (retried > 0)
    figures.notes.push(`disturbed: ${retried} deliveries were sent again, their acks took longer than the ack timeout`);
  const lost = after.dead - before.dead + after.acksRefused - before.acksRefused;
  if (lost > 0) figures.notes.push(`disturbed: ${lost} deliveries dead or acks refused`);
  if (context.profile) await profileOnce(rig, comparison.ours, context.profile, nodes, figures);
  return figures;
}

function comparisonOf(rig: Rig, count: number, inFlight: number, rampMs: number): Comparison {
  const nodes = rig.nodes.slice(0, count);
  const append = count < 1_000;
  const prepare = (intents: number) => rig.service.call("prepareIntents", { count: intents, nodes });
  const limit: Side = {
    prepare,
    run: () => rig.service.call("runBareFanOut", { inFlight, nodes, rampMs: 0, append }),
  };
  const ours: Side = {
    prepare,
    run: () => rig.service.call("runFanOut", { inFlight, nodes, rampMs, append }),
    rampMs,
    settle: () => new Promise((resolve) => setTimeout(resolve, RETRY_TIMERS_MS)),
  };
  return {
    label: `fan-out + recorded acks, ${count.toLocaleString("en")} nodes${inFlight === IN_FLIGHT ? "" : `, ${inFlight} in flight`}`,
    unit: "pairs/s",
    perItem: count,
    limit,
    ours,
    limitIs: append ? "one append per intent, core publish, collect" : "core publish, collect",
    conditions: `${inFlight} intents in flight; service 1 connection, ${count.toLocaleString("en")} nodes on ${rig.sellerConnections} connections of one process; both sides publish from the service's process`,
    goal: inFlight === IN_FLIGHT ? { of: "rate", atLeast: 0.5 } : undefined,
    firstCount: Math.max(20, Math.round(4_000 / count)),
    countMax: 20_000,
    pids: rig.pids,
  };
}

async function profileOnce(rig: Rig, side: Side, folder: string, nodes: number, figures: Figures): Promise<void> {
  await side.prepare(figures.ours.rounds[0]!.items);
  await rig.service.call("startProfile");
  await side.run();
  await rig.service.call("endProfile", path.join(folder, `fan-out-${nodes}.cpuprofile`));
}

// From the publishing of an event until a client has it, at half of what the bare server can deliver here.

import type { Run } from "../closed-loop.js";
import { type Comparison, type Figures, type Side, measure } from "../measure.js";
import { type RealtimeRig, startRealtimeRig } from "../realtime-rig.js";
import { ANSWERS, type BothSides, openBoth } from "../realtime-sides.js";
import type { RowContext } from "./row.js";

const SATURATING = 4; // events on the way: the bare server is never idle
const SATURATED_EVENTS = { full: 200, quick: 10 };

export async function latencyRow(context: RowContext): Promise<Figures[]> {
  const rig = await startRealtimeRig(context);
  try {
    const size = context.quick ? "quick" : "full";
    const sides = await openBoth(rig, context.quick ? 100 : 1_000);
    await rig.bare.child.call("broadcast", { topic: sides.limit.topic, frameBytes: sides.frameBytes });
    const load = { ...sides.limit, batches: SATURATED_EVENTS[size], size: 1, answers: ANSWERS, inFlight: SATURATING };
    await rig.subscribers.call("broadcast", load); // warm-up
    const saturated = await rig.subscribers.call("broadcast", load);
    const perSecond = saturated.count / saturated.seconds / 2;
    const comparison = comparisonOf(rig, sides, perSecond);
    const progress = (text: string) => context.progress(`${comparison.label}: ${text}`);
    return [await measure("latency", comparison, { ...context, progress })];
  } finally {
    await rig.stop();
  }
}

function comparisonOf(rig: RealtimeRig, sides: BothSides, perSecond: number): Comparison {
  const side = (name: "limit" | "ours"): Side => {
    let batches = 0;
    return {
      prepare: async (items) => void (batches = items),
      run: (): Promise<Run> =>
        rig.subscribers.call("broadcast", {
          ...sides[name],
          batches,
          size: 1,
          answers: ANSWERS,
          inFlight: 0,
          everyMs: 1_000 / perSecond,
        }),
    };
  };
  return {
    label: "published → a client has it, half load",
    unit: "deliveries/s",
    perItem: sides.connections,
    limit: side("limit"),
    ours: side("ours"),
    limitIs: "the bare server on the same stream",
    conditions: `${perSecond.toFixed(0)} events/s to ${sides.connections.toLocaleString("en")} connections, half of what the bare server does with ${SATURATING} on the way; appended one by one, both servers hear the republished event`,
    goal: { of: "p99", atMost: 2 },
    firstCount: 10,
    countMax: 2_000,
    pids: rig.pids,
  };
}

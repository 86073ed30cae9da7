// POST /v1/intents until the 202, against the least that any such service must do.

import path from "node:path";
import { type Comparison, type Figures, type Side, measure } from "../measure.js";
import { type Rig, startRig } from "../rig.js";
import type { RowContext } from "./row.js";

const NODES = 10; // eligible for every intent
const SETTLE_POLL_MS = 50;

const GOALS = new Map([
  [1, 0.8],
  [16, 0.7],
  [128, 1.3],
]);

export async function postRow(context: RowContext): Promise<Figures[]> {
  const rig = await startRig({ ...context, sellers: NODES, bareHttp: true });
  try {
    const figures = [await oneCount(rig, 128, "dispatching", context)];
    await rig.service.call("setDispatch", true);
    for (const connections of GOALS.keys()) figures.push(await oneCount(rig, connections, "recording", context));
    return [...figures.slice(1), figures[0]!];
  } finally {
    await rig.stop();
  }
}

export type Mode = "recording" | "dispatching";

export async function oneCount(rig: Rig, connections: number, mode: Mode, context: RowContext): Promise<Figures> {
  const comparison = comparisonOf(rig, connections, mode);
  const figures = await measure("post", comparison, {
    ...context,
    progress: (text) => context.progress(`${comparison.label}: ${text}`),
  });
  if (context.profile) {
    await comparison.ours.prepare(figures.ours.rounds[0]!.items);
    await rig.service.call("startProfile");
    await comparison.ours.run();
    await rig.service.call("endProfile", path.join(context.profile, `post-${connections}-${mode}.cpuprofile`));
    await comparison.ours.settle?.();
  }
  return figures;
}

function comparisonOf(rig: Rig, connections: number, mode: Mode): Comparison {
  const side = (url: string, route: string): Side => ({
    prepare: (count) => rig.load.call("preparePosts", { target: { url, path: route, apiKey: rig.apiKey }, count }),
    run: () => rig.load.call("runPosts", { url, connections }),
  });
  const recording = mode === "recording";
  const limit = side(rig.bareUrl, "/append");
  const ours = side(rig.url, "/v1/intents");
  return {
    label: recording
      ? `POST accepted, ${connections} connection${connections === 1 ? "" : "s"}`
      : `the same, ${connections}, dispatching`,
    unit: "posts/s",
    perItem: 1,
    limit,
    ours: recording ? ours : { ...ours, settle: () => untilDispatched(rig) },
    limitIs: "Fastify route, one append",
    conditions: recording
      ? `${connections} keep-alive connections with one request each, ${NODES} eligible nodes; load in its own process; the service's dispatcher is held, as if it ran elsewhere`
      : `as above, and the same process also dispatches every intent to ${NODES} nodes, who ack`,
    goal: recording ? { of: "rate", atLeast: GOALS.get(connections)! } : undefined,
    firstCount: Math.max(200, connections * 8),
    countMax: 50_000,
    pids: rig.pids,
  };
}

/** What was accepted in the round is still to be sent: the next round must not pay for it. */
async function untilDispatched(rig: Rig): Promise<void> {
  let last = -1;
  for (;;) {
    const { dispatched } = await rig.service.call("counted");
    if (dispatched === last) return;
    last = dispatched;
    await new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS * 4));
  }
}

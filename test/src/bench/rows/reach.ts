// From a POST until the last of 100 nodes has the intent: what a buyer waits before any seller can answer.

import { type Comparison, type Figures, type Side, measure } from "../measure.js";
import { type Rig, startRig } from "../rig.js";
import type { RowContext } from "./row.js";

const NODES = 100;
const EVERY_MS = 10; // so that the answers to one intent do not meet the next one

export async function reachRow(context: RowContext): Promise<Figures[]> {
  const rig = await startRig({ ...context, sellers: NODES, bareHttp: true });
  try {
    return [await reachOf(rig, context)];
  } finally {
    await rig.stop();
  }
}

export function reachOf(rig: Rig, context: RowContext): Promise<Figures> {
  const comparison = comparisonOf(rig);
  const progress = (text: string) => context.progress(`${comparison.label}: ${text}`);
  return measure("reach", comparison, { ...context, progress });
}

function comparisonOf(rig: Rig): Comparison {
  const side = (url: string, path: string): Side => ({
    prepare: (count) => rig.load.call("preparePosts", { target: { url, path, apiKey: rig.apiKey }, count }),
    run: () => rig.load.call("runReach", { url, everyMs: EVERY_MS }),
  });
  return {
    label: `POST → last of ${NODES} nodes has it`,
    unit: "posts/s",
    perItem: 1,
    limit: side(rig.bareUrl, "/reach"),
    ours: side(rig.url, "/v1/intents"),
    limitIs: "Fastify route, one append, core publish",
    conditions: `one POST every ${EVERY_MS} ms on 1 connection, ${NODES} nodes on ${rig.sellerConnections} connections; POST and nodes in one process, nodes ack`,
    goal: { of: "p99", atMost: 3 },
    firstCount: 50,
    countMax: 5_000,
    pids: rig.pids,
  };
}

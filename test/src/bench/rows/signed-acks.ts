// What it costs that each ack is signed and verified (ADR-11), against the same service and nodes with plain acks.
// The sellers sign beforehand: a thousand sellers have more processors than this machine has.

import { type Comparison, type Figures, type Side, measure } from "../measure.js";
import { type Rig, startRig } from "../rig.js";
import type { RowContext } from "./row.js";

const PAIRS_IN_FLIGHT = 2_000; // a fifth of a second of verifying
const ACK_TIMEOUT_MS = 10_000; // the usual 500 ms may pass while a slow machine verifies: then deliveries would be repeated

export async function signedAcksRow(context: RowContext): Promise<Figures[]> {
  const service = { signedAcks: "accept", ackTimeoutMs: ACK_TIMEOUT_MS } as const;
  const rig = await startRig({ ...context, sellers: 1_000, service });
  try {
    const figures: Figures[] = [];
    for (const nodes of [1_000, 100]) {
      const comparison = comparisonOf(rig, nodes);
      const progress = (text: string) => context.progress(`${comparison.label}: ${text}`);
      figures.push(await measure("signed-acks", comparison, { ...context, progress }));
    }
    const { acksRefused } = await rig.service.call("counted");
    if (acksRefused > 0) throw new Error(`${acksRefused} acks of the bench were refused`);
    return figures;
  } finally {
    await rig.stop();
  }
}

function comparisonOf(rig: Rig, count: number): Comparison {
  const nodes = rig.nodes.slice(0, count);
  const inFlight = Math.min(8, PAIRS_IN_FLIGHT / count);
  const side = (signed: boolean): Side => ({
    async prepare(intents) {
      await rig.service.call("prepareIntents", { count: intents, nodes });
      const toSign = signed ? await rig.service.call("preparedAcks") : [];
      await rig.load.call("signAcks", { intents: toSign, count });
    },
    run: () => rig.service.call("runFanOut", { inFlight, nodes, rampMs: 0, append: true }),
  });
  return {
    label: `signed acks, ${count.toLocaleString("en")} nodes`,
    unit: "pairs/s",
    perItem: count,
    limit: side(false),
    ours: side(true),
    limitIs: "the same service and nodes, acks without a signature",
    conditions: `${inFlight} intents in flight; each ack verified before it is recorded, OUTCRY_SIGNED_ACKS=accept; sellers sign before the run; ${count.toLocaleString("en")} nodes on ${rig.sellerConnections} connections of one process`,
    goal: undefined,
    firstCount: Math.max(4, Math.round(4_000 / count)),
    countMax: 2_000,
    pids: rig.pids,
  };
}

// Growth of the registry and of the fan-out: 10 nodes, 100, 1,000, 10,000, registered and addressed by each intent.

import { createRegistryIndex, selectTargets } from "@outcry/selection";
import type { Growth } from "../growth.js";
import { Series } from "../series.js";
import { TICK_US, cpuUs } from "../process-cost.js";
import { type Rig, startRig } from "../rig.js";
import { median } from "../statistics.js";
import type { RowContext } from "./row.js";

const PAIRS_PER_RUN = 20_000;
const INTENTS_MAX = 300; // at 10 nodes an intent's own cost is most of it
const PAIRS_IN_FLIGHT = 10_000;
const IN_FLIGHT_MAX = 8; // as in the row `fan-out`
const ACK_TIMEOUT_MS = 30_000; // 10,000 acks of one intent take longer than the usual 500 ms on a busy machine
const HEAP_NOISE_BYTES = 1024 ** 2; // two collections of the same heap differ by as much; less is not told apart
const SELECTIONS = 201; // odd: the median was measured
const SELECTED_MAX = 1_000; // the design's limit for a result

export async function growthOfNodes(context: RowContext, sizes: readonly number[]): Promise<Growth[]> {
  const series = new Series("nodes");
  const service = { ackTimeoutMs: ACK_TIMEOUT_MS };
  const rig = await startRig({ ...context, sellers: sizes.at(-1)!, registered: 1, service });
  try {
    let registered = 1;
    for (const nodes of sizes) {
      const beforeBytes = await rig.service.call("heapBytes");
      await rig.register(nodes);
      const bytes = Math.max(HEAP_NOISE_BYTES, (await rig.service.call("heapBytes")) - beforeBytes);
      series.add(
        "service's heap",
        { what: "memory", unit: "bytes per node registered" },
        nodes,
        bytes / (nodes - registered),
      );
      registered = nodes;
      const idleBytes = await rig.service.call("heapBytes");
      const { wallUs, cpu, pairs } = await pairCost(rig, nodes, context);
      series.add("delivery, recorded ack", { what: "time", unit: "µs per pair" }, nodes, wallUs);
      if (cpuUs(rig.service.pid) !== undefined)
        series.add("delivery, CPU of the service", { what: "time", unit: "µs per pair" }, nodes, cpu);
      const kept = Math.max(HEAP_NOISE_BYTES, (await rig.service.call("heapBytes")) - idleBytes);
      series.add(
        "service's heap behind deliveries",
        { what: "memory", unit: "bytes per pair delivered" },
        nodes,
        kept / pairs,
      );
      context.progress(`${nodes.toLocaleString("en")} nodes: ${wallUs.toFixed(1)} µs per pair`);
    }
  } finally {
    await rig.stop();
  }
  for (const nodes of sizes)
    series.add("selection", { what: "time", unit: "ns per registered node" }, nodes, selectionNs(nodes) / nodes);
  return series.all();
}

interface PairCost {
  wallUs: number;
  cpu: number;
  /** Of all rounds together. */
  pairs: number;
}

/** Of one intent at one node, best of the rounds: what else the machine does only adds to it. */
async function pairCost(rig: Rig, count: number, { rounds, seconds }: RowContext): Promise<PairCost> {
  const nodes = rig.nodes.slice(0, count);
  const inFlight = Math.max(1, Math.min(IN_FLIGHT_MAX, Math.floor(PAIRS_IN_FLIGHT / count)));
  const wanted = Math.ceil((PAIRS_PER_RUN * Math.min(1, seconds)) / count);
  const intents = Math.min(INTENTS_MAX, Math.max(4, wanted));
  const walls: number[] = [];
  const cpus: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    await rig.service.call("prepareIntents", { count: intents, nodes });
    const beforeUs = cpuUs(rig.service.pid) ?? 0;
    const run = await rig.service.call("runFanOut", { inFlight, nodes, rampMs: 0, append: true });
    const spentUs = Math.max(TICK_US, (cpuUs(rig.service.pid) ?? 0) - beforeUs);
    if (round === 0) continue; // warm-up
    walls.push((run.seconds * 1e6) / (run.count * count));
    cpus.push(spentUs / (intents * count));
  }
  return { wallUs: Math.min(...walls), cpu: Math.min(...cpus), pairs: (rounds + 1) * intents * count };
}

/** Of one intent over so many registered nodes, of which at most a thousand are eligible. */
function selectionNs(nodes: number): number {
  const index = createRegistryIndex();
  const kinds = Math.max(1, Math.ceil(nodes / SELECTED_MAX));
  for (let node = 0; node < nodes; node++) {
    const categories = [`kind ${node % kinds}`];
    index.put({ id: `nod_${node}`, status: "active", categories, regions: ["*"], capabilities: [] });
  }
  const took = Array.from({ length: SELECTIONS }, (_, run) => {
    const fromMs = performance.now();
    selectTargets(index, { categories: [`kind ${run % kinds}`], region: "DE" });
    return (performance.now() - fromMs) * 1e6;
  });
  return median(took);
}

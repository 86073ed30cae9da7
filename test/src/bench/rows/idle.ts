// What an idle connection that is known and has one subscription holds in memory. Each round has fresh processes: memory that was resident once stays so.

import { costFigures } from "../cost-figures.js";
import type { Memory } from "../child/server-probe.js";
import type { Figures } from "../measure.js";
import { type RealtimeRig, startRealtimeRig } from "../realtime-rig.js";
import { OPEN_IN_FLIGHT } from "../realtime-sides.js";
import type { RowContext } from "./row.js";

const CONNECTIONS = { full: 10_000, quick: 300 };
const FIRST = 200; // compile the code and fill the pools before anything is counted
const ROUNDS_MAX = 3; // each opens 20,000 connections
const NOISE_BYTES = 512 * 1024; // two looks at the same process differ by as much
const GOAL = { of: "cost", atMost: 1.6 } as const;

export async function idleRow(context: RowContext): Promise<Figures[]> {
  const rig = await startRealtimeRig(context);
  const count = CONNECTIONS[context.quick ? "quick" : "full"];
  const taken = { limit: [] as Memory[], ours: [] as Memory[] };
  try {
    for (let round = 1; round <= Math.min(context.rounds, ROUNDS_MAX); round++) {
      await Promise.all([rig.replaceBare(), rig.replaceGateway()]);
      taken.limit.push(await memoryOf(rig, "bare", count));
      taken.ours.push(await memoryOf(rig, "gateway", count));
      const [bare, ours] = [taken.limit.at(-1)!, taken.ours.at(-1)!];
      context.progress(
        `round ${round}: resident ${kib(bare.residentBytes)} → ${kib(ours.residentBytes)}, heap ${kib(bare.heapBytes)} → ${kib(ours.heapBytes)} KiB`,
      );
    }
    const common = {
      row: "idle",
      unit: "KiB per connection",
      limitIs: "ws without a server of its own, no compression",
      conditions: `${count.toLocaleString("en")} connections, each known and with one subscription to one channel, behind a collection; fresh processes in each round`,
      goal: GOAL,
      notes: [],
    };
    const costs = (of: keyof Memory) => ({
      limit: taken.limit.map((memory) => memory[of] / 1_024),
      ours: taken.ours.map((memory) => memory[of] / 1_024),
    });
    return [
      costFigures({ ...common, label: "idle connection, resident memory", ...costs("residentBytes") }),
      costFigures({ ...common, label: "idle connection, heap", ...costs("heapBytes") }),
    ];
  } finally {
    await rig.stop();
  }
}

/** Of one connection. */
async function memoryOf(rig: RealtimeRig, server: "gateway" | "bare", count: number): Promise<Memory> {
  const { probe, port } = rig[server];
  const { channel } = rig.access.intent();
  const access = server === "gateway" ? [{ token: rig.access.apiKey, channel }] : [];
  const open = { pool: `idle at ${server}`, port, inFlight: OPEN_IN_FLIGHT, access };
  await rig.subscribers.call("open", { ...open, count: FIRST });
  const before = await probe.call("memory");
  await rig.subscribers.call("open", { ...open, count: count - FIRST });
  const after = await probe.call("memory");
  await rig.subscribers.call("close", open.pool);
  const each = (of: keyof Memory) => Math.max(NOISE_BYTES, after[of] - before[of]) / (count - FIRST);
  return { residentBytes: each("residentBytes"), heapBytes: each("heapBytes") };
}

const kib = (bytes: number): string => (bytes / 1_024).toFixed(1);

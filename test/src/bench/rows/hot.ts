// One event to a very large channel: how long its writing holds up everything else of the process.

import { type Figures, type SideFigures } from "../measure.js";
import { type BothSides, type RealtimeRig, startRealtimeRig } from "../realtime-rig.js";
import { median } from "../statistics.js";
import { ANSWERS, openBoth } from "./deliver.js";
import type { RowContext } from "./row.js";

const GOAL_MS = 50;
const CONNECTIONS = { full: 9_000, quick: 200 }; // to each server: the clients' process may have 20,000 sockets
const EVENTS = 10; // of a round

export async function hotRow(context: RowContext): Promise<Figures[]> {
  const rig = await startRealtimeRig(context);
  try {
    const sides = await openBoth(rig, CONNECTIONS[context.quick ? "quick" : "full"]);
    await rig.bare.child.call("broadcast", { topic: sides.limit.topic, frameBytes: sides.frameBytes });
    const turns = { limit: [] as number[], ours: [] as number[] };
    const seconds = { limit: [] as number[], ours: [] as number[] };
    for (let round = 0; round <= context.rounds; round++) {
      for (const side of ["limit", "ours"] as const) {
        const { turnMs, runSeconds } = await oneRound(rig, sides, side);
        if (round === 0) continue; // warm-up
        turns[side].push(turnMs);
        seconds[side].push(runSeconds);
      }
      if (round > 0) context.progress(`round ${round}: ${turns.limit.at(-1)} → ${turns.ours.at(-1)} ms`);
    }
    return [figuresOf(sides.connections, turns, seconds)];
  } finally {
    await rig.stop();
  }
}

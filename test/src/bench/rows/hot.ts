// One event to a very large channel: how long its writing holds up everything else of the process.

import { costFigures } from "../cost-figures.js";
import type { Figures } from "../measure.js";
import { type RealtimeRig, startRealtimeRig } from "../realtime-rig.js";
import { ANSWERS, type BothSides, openBoth } from "../realtime-sides.js";
import type { RowContext } from "./row.js";

const GOAL_MS = 50;
const CONNECTIONS = { full: 9_900, quick: 200 }; // to each server: the clients' process may have 20,000 sockets
const EVENTS = 5; // of a round, one after another

export async function hotRow(context: RowContext): Promise<Figures[]> {
  const rig = await startRealtimeRig(context);
  try {
    const sides = await openBoth(rig, CONNECTIONS[context.quick ? "quick" : "full"]);
    await rig.bare.child.call("broadcast", { topic: sides.limit.topic, frameBytes: sides.frameBytes });
    const turns = { limit: [] as number[], ours: [] as number[] };
    for (let round = 0; round <= context.rounds; round++) {
      for (const side of ["limit", "ours"] as const) {
        const cpuMs = await longestTurn(rig, sides, side);
        if (round > 0) turns[side].push(cpuMs); // round 0 is the warm-up
      }
      const last = (side: "limit" | "ours") => turns[side].at(-1)!.toFixed(1);
      if (round > 0) context.progress(`round ${round} of ${context.rounds}: ${last("limit")} → ${last("ours")} ms`);
    }
    const longest = Math.max(...turns.ours);
    return [
      costFigures({
        row: "hot",
        label: "longest turn, one event to a large channel",
        unit: "ms of CPU",
        limitIs: "the bare server's turn that writes it to all",
        conditions: `${sides.connections.toLocaleString("en")} connections with one channel, ${sides.frameBytes} bytes a frame, ${EVENTS} events one after another; the longest turn of the event loop in each round`,
        goal: undefined,
        ...turns,
        notes: [`longest of all rounds: ${longest.toFixed(1)} ms of CPU; the goal is at most ${GOAL_MS}`],
      }),
    ];
  } finally {
    await rig.stop();
  }
}

async function longestTurn(rig: RealtimeRig, sides: BothSides, side: "limit" | "ours"): Promise<number> {
  const { probe } = side === "ours" ? rig.gateway : rig.bare;
  const load = { ...sides[side], batches: EVENTS, size: 1, answers: ANSWERS, inFlight: 1 };
  await probe.call("watchTurns");
  await rig.subscribers.call("broadcast", load);
  return (await probe.call("longestTurn")).cpuMs;
}

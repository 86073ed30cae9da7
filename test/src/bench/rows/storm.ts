// The gateway is killed under many clients and started again: all come back with their cursors at once.

import { costFigures } from "../cost-figures.js";
import type { StormResult } from "../child/storm-clients.js";
import type { Figures } from "../measure.js";
import { type RealtimeRig, startRealtimeRig } from "../realtime-rig.js";
import { ANSWERS } from "../realtime-sides.js";
import type { RowContext } from "./row.js";

const CLIENTS = { full: 10_000, quick: 200 };
const ROUNDS_MAX = 3; // some ten seconds each
const BEFORE = 20; // events while all are connected; the kill comes between them
const AFTER = 80; // while nobody is
const EVERY_MS = 10;
const FRAME_BYTES = 735; // as the gateway's

export async function stormRow(context: RowContext): Promise<Figures[]> {
  const rig = await startRealtimeRig(context);
  try {
    const count = CLIENTS[context.quick ? "quick" : "full"];
    const seconds = { limit: [] as number[], ours: [] as number[] };
    const notes: string[] = [];
    for (let round = 1; round <= Math.min(context.rounds, ROUNDS_MAX); round++) {
      const result = await oneStorm(rig, count);
      seconds.ours.push(result.seconds);
      seconds.limit.push(await rawStorm(rig, count));
      notes.push(
        `round ${round}: 0 lost, 0 doubled, ${result.cursors} distinct cursors, ${result.pagesRead} pages read, ${result.shared} shared`,
      );
      context.progress(`${notes.at(-1)}; ${seconds.limit.at(-1)!.toFixed(1)} → ${result.seconds.toFixed(1)} s`);
    }
    return [
      costFigures({
        row: "storm",
        label: "all back behind a crash",
        unit: "s until all have all",
        limitIs: `as many upgrades by ws, each followed by ${AFTER} frames in one write`,
        conditions: `${count.toLocaleString("en")} clients of one process with a buyer's token and one channel, ${AFTER} to ${AFTER + BEFORE} events missed; gateway killed -9 and started again`,
        goal: undefined,
        ...seconds,
        notes,
      }),
    ];
  } finally {
    await rig.stop();
  }
}

async function oneStorm(rig: RealtimeRig, count: number): Promise<StormResult & { pagesRead: number; shared: number }> {
  const { access, subscribers } = rig;
  const { channel, topic } = access.intent();
  const { port } = rig.gateway;
  await subscribers.call("openStorm", { port, count, access: { token: access.buyerToken([channel]), channel } });
  const feed = { topic, everyMs: EVERY_MS, answers: ANSWERS };
  const before = subscribers.call("feedStorm", { ...feed, count: BEFORE });
  await new Promise((resolve) => setTimeout(resolve, (BEFORE / 2) * EVERY_MS));
  await rig.killGateway();
  await before;
  await subscribers.call("feedStorm", { ...feed, everyMs: 0, count: AFTER });
  await rig.replaceGateway();
  const result = await subscribers.call("ride");
  const { pages } = await rig.gateway.child.call("counted");
  await subscribers.call("closeStorm");
  if (result.lost + result.doubled > 0)
    throw new Error(`of a storm's events ${result.lost} were lost, ${result.doubled} doubled`);
  return { ...result, pagesRead: pages.read, shared: pages.shared };
}

async function rawStorm(rig: RealtimeRig, count: number): Promise<number> {
  const { port } = await rig.replaceBare();
  await rig.bare.child.call("answerWith", { frames: AFTER, frameBytes: FRAME_BYTES });
  return rig.subscribers.call("rawStorm", { port, count, frames: AFTER });
}

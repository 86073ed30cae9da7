// Events to a thousand subscribers of one channel: deliveries per second of CPU of the process that delivers.

import path from "node:path";
import { type Comparison, type Figures, type Side, measure } from "../measure.js";
import { ANSWERS, type BothSides, openBoth } from "../realtime-sides.js";
import { type RealtimeRig, byCpu, startRealtimeRig } from "../realtime-rig.js";
import type { RowContext } from "./row.js";

const SIZES = [
  { perFlush: 1, atLeast: 0.85 },
  { perFlush: 8, atLeast: 0.75 },
];

export async function deliverRow(context: RowContext): Promise<Figures[]> {
  const rig = await startRealtimeRig(context);
  try {
    const channels = await openBoth(rig, context.quick ? 100 : 1_000);
    const figures: Figures[] = [];
    for (const size of SIZES) figures.push(await oneSize(rig, channels, size, context));
    return figures;
  } finally {
    await rig.stop();
  }
}

async function oneSize(
  rig: RealtimeRig,
  sides: BothSides,
  { perFlush, atLeast }: (typeof SIZES)[number],
  context: RowContext,
): Promise<Figures> {
  const { connections, frameBytes } = sides;
  const writes = { gateway: 0, bare: 0 };
  const side = (name: "gateway" | "bare"): Side => {
    let batches = 0;
    const { probe } = rig[name];
    return {
      async prepare(count) {
        batches = Math.ceil(count / perFlush);
      },
      async run() {
        const where = name === "gateway" ? sides.ours : sides.limit;
        const before = await probe.call("writeCalls");
        const load = { ...where, batches, size: perFlush, answers: ANSWERS, inFlight: 1 };
        const run = await byCpu(probe, () => rig.subscribers.call("broadcast", load));
        const calls = (await probe.call("writeCalls")) - before;
        writes[name] = (run.count * connections) / Math.max(1, calls);
        return run;
      },
    };
  };
  const comparison: Comparison = {
    label: `delivered, ${perFlush} event${perFlush === 1 ? "" : "s"} per flush`,
    unit: "deliveries per CPU s",
    perItem: connections,
    limit: side("bare"),
    ours: side("gateway"),
    limitIs: "frames made beforehand, one socket.write per connection and turn, NATS heard by a bare callback",
    conditions: `${connections.toLocaleString("en")} connections with one channel, ${frameBytes} bytes a frame, ${perFlush} event(s) appended together, the next when all have them; seconds are those of the serving process's CPU`,
    goal: { of: "rate", atLeast },
    firstCount: 4 * perFlush,
    countMax: 4_000,
    pids: rig.pids,
  };
  await rig.bare.child.call("broadcast", { topic: sides.limit.topic, frameBytes });
  const progress = (text: string) => context.progress(`${comparison.label}: ${text}`);
  const figures = await measure("deliver", comparison, { ...context, progress });
  await rig.bare.child.call("hush");
  figures.notes.push(
    `events per write: ${writes.bare.toFixed(1)} bare, ${writes.gateway.toFixed(1)} gateway; the ratio holds the ingest of one message per ${connections} deliveries`,
  );
  if (context.profile) {
    await rig.gateway.child.call("startProfile");
    await comparison.ours.run();
    await rig.gateway.child.call("endProfile", path.join(context.profile, `deliver-${perFlush}.cpuprofile`));
  }
  return figures;
}

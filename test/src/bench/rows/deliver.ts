// Events to a thousand subscribers of one channel: deliveries per second of CPU of the process that delivers.

import path from "node:path";
import { type Comparison, type Figures, type Side, measure } from "../measure.js";
import { type RealtimeRig, byCpu, startRealtimeRig } from "../realtime-rig.js";
import type { RowContext } from "./row.js";

export const ANSWERS = 2; // in each event: about 600 bytes of frame
const OPEN_IN_FLIGHT = 64;
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

/** Two topics: each side's events pass the other one by. */
export interface BothSides {
  connections: number;
  frameBytes: number;
  ours: { pool: string; topic: string };
  limit: { pool: string; topic: string };
}

/** As many connections to the gateway as to the bare server, all of them live. */
export async function openBoth(rig: RealtimeRig, connections: number): Promise<BothSides> {
  const { access, subscribers } = rig;
  const [heard, unheard] = [access.intent(), access.intent()];
  const open = { count: connections, inFlight: OPEN_IN_FLIGHT };
  const of = [{ token: access.apiKey, channel: heard.channel }];
  await subscribers.call("open", { ...open, pool: "gateway", port: rig.gateway.port, access: of });
  await subscribers.call("open", { ...open, pool: "bare", port: rig.bare.port, access: [] });
  const ours = { pool: "gateway", topic: heard.topic };
  await subscribers.call("broadcast", { ...ours, batches: 1, size: 1, answers: ANSWERS, inFlight: 1 });
  const frameBytes = await subscribers.call("frameBytes", "gateway"); // as long for the bare server
  return { connections, frameBytes, ours, limit: { pool: "bare", topic: unheard.topic } };
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

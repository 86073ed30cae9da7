// The whole stream as every gateway process hears it, without a subscriber: CPU per republished message.

import path from "node:path";
import { type Comparison, type Figures, type Side, measure } from "../measure.js";
import { type RealtimeRig, byCpu, startRealtimeRig } from "../realtime-rig.js";
import { ANSWERS } from "../realtime-sides.js";
import type { RowContext } from "./row.js";

const PER_SECOND = 20_000;
const PER_BATCH = 200; // appended together: every 10 ms
const GOAL_US = 6;

export async function ingestRow(context: RowContext): Promise<Figures[]> {
  const rig = await startRealtimeRig(context);
  try {
    const comparison = comparisonOf(rig);
    const progress = (text: string) => context.progress(`${comparison.label}: ${text}`);
    const figures = await measure("ingest", comparison, { ...context, progress });
    const [bareUs, gatewayUs] = [1e6 / figures.limit.rate, 1e6 / figures.ours.rate];
    figures.notes.push(
      `CPU per message: ${bareUs.toFixed(2)} µs bare, ${gatewayUs.toFixed(2)} µs gateway; the goal is at most ${GOAL_US}`,
    );
    if (context.profile) {
      await rig.gateway.child.call("startProfile");
      await comparison.ours.run();
      await rig.gateway.child.call("endProfile", path.join(context.profile, "ingest.cpuprofile"));
    }
    return [figures];
  } finally {
    await rig.stop();
  }
}

function comparisonOf(rig: RealtimeRig): Comparison {
  const { gateway, bare, subscribers } = rig;
  const { topic } = rig.access.intent();
  let count = 0;
  const prepare = async (items: number): Promise<void> => void (count = items);
  const publish = () =>
    subscribers.call("publish", { topic, count, answers: ANSWERS, perSecond: PER_SECOND, size: PER_BATCH });
  const ours: Side = {
    prepare,
    run: () =>
      byCpu(gateway.probe, async () => {
        const before = await gateway.child.call("heard");
        await publish();
        await gateway.child.call("untilHeard", before + count);
        return { count, seconds: 0, latenciesMs: [] };
      }),
  };
  const limit: Side = {
    async prepare(items) {
      await prepare(items);
      await bare.child.call("listen");
    },
    run: () =>
      byCpu(bare.probe, async () => {
        await publish();
        await bare.child.call("untilHeard", count);
        return { count, seconds: 0, latenciesMs: [] };
      }),
    settle: () => bare.child.call("hush"),
  };
  return {
    label: "stream heard, no subscriber",
    unit: "messages per CPU s",
    perItem: 1,
    limit,
    ours,
    limitIs: "a callback of nats.js that looks at nothing",
    conditions: `${PER_SECOND.toLocaleString("en")} messages/s of some 650 bytes, appended ${PER_BATCH} at a time, on one connection; the goal is one of CPU per message, see the note`,
    goal: undefined,
    firstCount: 1_000,
    countMax: PER_SECOND, // a second of it: a message costs a fraction of its time
    pids: rig.pids,
  };
}

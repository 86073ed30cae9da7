// Clients that never read, beside others that do: what the others get, and what the queues hold.

import { GATEWAY_LIMITS } from "@outcry/ws-gateway";
import { type Comparison, type Figures, type Side, measure } from "../measure.js";
import { type RealtimeRig, byCpu, startRealtimeRig } from "../realtime-rig.js";
import { ANSWERS, OPEN_IN_FLIGHT } from "../realtime-sides.js";
import type { RowContext } from "./row.js";

const CLIENTS = { full: 1_000, quick: 100 };
const STUCK_SHARE = 0.05;
const FILL_ANSWERS = 250;
const FILL_EVENT_BYTES = 33_000; // at least
const FILL_PER_SECOND = 200;
const FILL_BYTES = 8 * 1024 * 1024; // for each: more than the kernel holds for a socket, and the queue's bound
const PATIENT = { stallMs: 600_000, lagMs: 600_000 }; // else they would be sent away between the rounds

export async function stuckRow(context: RowContext): Promise<Figures[]> {
  const rig = await startRealtimeRig({ ...context, limits: PATIENT });
  try {
    const clients = CLIENTS[context.quick ? "quick" : "full"];
    const stuck = Math.round(clients * STUCK_SHARE);
    const topics = await openPools(rig, clients - stuck, stuck);
    const growth = await fillQueues(rig, topics.fill, stuck);
    const comparison = comparisonOf(rig, topics, clients - stuck, stuck);
    const progress = (text: string) => context.progress(`${comparison.label}: ${text}`);
    const figures = await measure("stuck", comparison, { ...context, progress });
    figures.notes.push(growth);
    return [figures];
  } finally {
    await rig.stop();
  }
}

type Topics = Record<"alone" | "beside" | "fill", string>;

/** Two channels with as many readers; one of them has the stuck ones, too, who also have a channel of their own. */
async function openPools(
  { access, subscribers, gateway }: RealtimeRig,
  reading: number,
  stuck: number,
): Promise<Topics> {
  const [alone, beside, fill] = [access.intent(), access.intent(), access.intent()];
  const open = async (pool: string, channel: string, count: number) => {
    const of = [{ token: access.apiKey, channel }];
    await subscribers.call("open", { pool, port: gateway.port, count, inFlight: OPEN_IN_FLIGHT, access: of });
  };
  await open("alone", alone.channel, reading);
  await open("beside", beside.channel, reading);
  await open("stuck", beside.channel, stuck);
  await subscribers.call("subscribeAlso", { pool: "stuck", channel: fill.channel });
  await subscribers.call("pause", { pool: "stuck" });
  return { alone: alone.topic, beside: beside.topic, fill: fill.topic };
}

/** Until each queue is full. Returns what was seen. */
async function fillQueues(
  { access, gateway, subscribers }: RealtimeRig,
  topic: string,
  stuck: number,
): Promise<string> {
  const count = Math.ceil(FILL_BYTES / FILL_EVENT_BYTES);
  const publish = async (to: string): Promise<void> => {
    const heard = await gateway.child.call("heard");
    await subscribers.call("publish", {
      topic: to,
      count,
      answers: FILL_ANSWERS,
      perSecond: FILL_PER_SECOND,
      size: 10,
    });
    await gateway.child.call("untilHeard", heard + count);
  };
  const { channel, topic: tasted } = access.intent();
  const of = [{ token: access.apiKey, channel }];
  await subscribers.call("open", { pool: "taster", port: gateway.port, count: 1, inFlight: 1, access: of });
  // First to one who reads, thrice: what the ring and the kept frames hold is none of the queues'.
  for (let time = 0; time < 3; time++) await publish(tasted);
  const before = await gateway.probe.call("memory");
  await publish(topic);
  const { residentBytes } = await gateway.probe.call("memory");
  const { queueBytes, hub } = await gateway.child.call("counted");
  if (hub.behind < stuck) throw new Error(`only ${hub.behind} of ${stuck} queues have filled up`);
  const mib = (bytes: number) => (bytes / 1024 ** 2).toFixed(1);
  const bound = GATEWAY_LIMITS.queueBytesMax * stuck;
  return `${stuck} queues hold ${mib(queueBytes)} MiB, at most ${mib(bound)}; resident memory grew by ${mib(residentBytes - before.residentBytes)} MiB, the goal is at most ${mib(1.1 * bound)}`;
}

function comparisonOf(rig: RealtimeRig, topics: Topics, reading: number, stuck: number): Comparison {
  const side = (pool: "alone" | "beside"): Side => {
    let batches = 0;
    return {
      prepare: async (items) => void (batches = items),
      run: () =>
        byCpu(rig.gateway.probe, () =>
          rig.subscribers.call("broadcast", {
            pool,
            topic: topics[pool],
            batches,
            size: 1,
            answers: ANSWERS,
            inFlight: 1,
          }),
        ),
    };
  };
  return {
    label: `beside ${stuck} clients that never read`,
    unit: "deliveries per CPU s",
    perItem: reading,
    limit: side("alone"),
    ours: side("beside"),
    limitIs: "the same gateway and as many readers, on a channel without the stuck ones",
    conditions: `${reading} readers of each channel; the queues of the stuck ones are full before the first round, and they are not sent away meanwhile`,
    goal: { of: "rate", atLeast: 0.95 },
    firstCount: 4,
    countMax: 2_000,
    pids: rig.pids,
  };
}

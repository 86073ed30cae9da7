// A client that comes back for a hundred events: from the ring in memory against raw writes of as many frames, and from the record against
// the batched read that it needs at least.

import path from "node:path";
import { type Comparison, type Figures, type Side, measure } from "../measure.js";
import { type RealtimeRig, byCpu, startRealtimeRig } from "../realtime-rig.js";
import { ANSWERS } from "../realtime-sides.js";
import type { RowContext } from "./row.js";

const EVENTS = 100;
const CLIENTS = 16; // each resumes anew as soon as it has everything
const CHANNELS = 16; // one of each client's own, so that no read serves two
const UNLIMITED = { commandsPerSecond: 1e9, commandsBurst: 1e9 }; // a client of the bench resumes a thousand times a second

const CHANNEL = `intent:${"x".repeat(30)}`;
const COMMAND = JSON.stringify({ id: 7, op: "sub", ch: CHANNEL, cur: `${Buffer.alloc(16).toString("base64url")}a` });

type From = "ring" | "ring, its command read" | "record";

const LIMITS: Readonly<Record<From, string>> = {
  ring: `${EVENTS} frames made beforehand, in one write`,
  "ring, its command read": `the same by a loop that reads the command, its cursor and a right, and answers it: JSON, a cipher, one writev`,
  record: `one batched Direct Get of ${EVENTS} messages by bare nats.js, without a client to write to`,
};

export async function resumeRow(context: RowContext): Promise<Figures[]> {
  return [
    await oneSource(context, "ring", 0.8, UNLIMITED),
    await oneSource(context, "ring, its command read", 0.8, UNLIMITED),
    // Nothing is in the ring, and no page is kept for the next one who asks.
    await oneSource(context, "record", 0.5, { ...UNLIMITED, ringEventsMax: 1, pageKeptMs: 0 }),
  ];
}

async function oneSource(context: RowContext, from: From, atLeast: number, limits: object): Promise<Figures> {
  const rig = await startRealtimeRig({ ...context, limits });
  try {
    const { cursors, topics, frameBytes } = await fill(rig);
    const { bare, subscribers } = rig;
    await subscribers.call("open", { pool: "bare", port: bare.port, count: CLIENTS, inFlight: 1, access: [] });
    const answered = from === "ring, its command read" ? { channel: CHANNEL } : {};
    await bare.child.call("answerWith", { frames: EVENTS, frameBytes, ...answered });
    let count = 0;
    const prepare = async (items: number): Promise<void> => void (count = items);
    const resume = (pool: string, of: string[]) =>
      subscribers.call("resume", { pool, count, events: EVENTS, cursors: of, say: COMMAND });
    const reads = () =>
      bare.child.call("runDirectGets", {
        subjects: Array.from({ length: count }, (_, index) => topics[index % topics.length]!),
        batch: EVENTS,
        inFlight: CLIENTS,
      });
    const limit: Side = {
      prepare,
      run: () => byCpu(bare.probe, from === "record" ? reads : () => resume("bare", [])),
    };
    const ours: Side = { prepare, run: () => byCpu(rig.gateway.probe, () => resume("gateway", cursors)) };
    const comparison = comparisonOf(rig, from, atLeast, { limit, ours }, frameBytes);
    const progress = (text: string) => context.progress(`${comparison.label}: ${text}`);
    const figures = await measure("resume", comparison, { ...context, progress });
    const { read } = (await rig.gateway.child.call("counted")).pages;
    figures.notes.push(`${read.toLocaleString("en")} pages were read from the record in all rounds`);
    if (context.profile) {
      await rig.gateway.child.call("startProfile");
      await comparison.ours.run();
      await rig.gateway.child.call(
        "endProfile",
        path.join(context.profile, `resume-${from.replaceAll(/\W+/g, "-")}.cpuprofile`),
      );
    }
    return figures;
  } finally {
    await rig.stop();
  }
}

/** A hundred events in each client's channel, behind the cursor that it has. */
async function fill({ access, subscribers, gateway }: RealtimeRig) {
  const intents = Array.from({ length: CHANNELS }, () => access.intent());
  await subscribers.call("open", {
    pool: "gateway",
    port: gateway.port,
    count: CLIENTS,
    inFlight: 1,
    access: intents.map(({ channel }) => ({ token: access.apiKey, channel })),
  });
  const cursors = await subscribers.call("cursors", "gateway");
  const before = await gateway.child.call("heard");
  for (const { topic } of intents)
    await subscribers.call("publish", { topic, count: EVENTS, answers: ANSWERS, perSecond: 20_000, size: EVENTS });
  await gateway.child.call("untilHeard", before + EVENTS * CHANNELS);
  return {
    cursors,
    topics: intents.map(({ topic }) => topic),
    frameBytes: await subscribers.call("frameBytes", "gateway"),
  };
}

function comparisonOf(
  rig: RealtimeRig,
  from: From,
  atLeast: number,
  sides: Pick<Comparison, "limit" | "ours">,
  frameBytes: number,
): Comparison {
  return {
    label: `${EVENTS} events resumed, from the ${from}`,
    unit: "resumes per CPU s",
    perItem: 1,
    ...sides,
    limitIs: LIMITS[from],
    conditions: `${CLIENTS} clients, each with a channel of its own, ${frameBytes} bytes a frame; seconds are those of the serving process's CPU`,
    goal: { of: "rate", atLeast },
    firstCount: 2 * CLIENTS,
    countMax: 20_000,
    pids: rig.pids,
  };
}

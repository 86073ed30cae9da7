// Growth of the record: 1,000 intents stored, then ten times as many and again, up to a million, all of them ended.
// Each size is filled in quickly, then the servers are started again as in production, and the service with an empty Redis.

import { SUBJECTS } from "@outcry/protocol";
import { Redis } from "ioredis";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import path from "node:path";
import type { Run } from "../closed-loop.js";
import { type Child, startChild } from "../child-process.js";
import { type FillVerbs, filledId } from "../child/fill.js";
import type { LoadVerbs } from "../child/load.js";
import type { ServiceVerbs, StartedService } from "../child/service.js";
import type { Growth } from "../growth.js";
import { TICK_US, cpuUs, residentBytes } from "../process-cost.js";
import { RestartableBrokers } from "../restartable.js";
import { untilSelectable } from "../rig.js";
import { type Measured, Series } from "../series.js";
import { percentile } from "../statistics.js";
import type { RowContext } from "./row.js";

const NODES = 10;
const CALLS = 100; // of one round of one kind; fewer when a round is shorter than a second
const COLD_READS_MAX = 20;
const INTENTS_PER_BLOCK = 4_000; // 8 MB of records and ends
const RECENT = 1_000; // their part of the record is in the server's memory
const WARM_UP = 50;
const SETTLE_MS = 1_000; // what the warm-up posted is acked and recorded
const RESIDENT_NOISE_BYTES = 1024 ** 2;
const TENFOLD = 10;
const FIXED_MS = 10_000; // of a size, whatever it is: restarts and calls

const RAW = { what: "time", isRaw: true } as const;
const BLOCKS = "nats-server reads a block of 8 MB for a message of it that is not in its memory: see the raw reads";

interface World {
  brokers: RestartableBrokers;
  load: Child<LoadVerbs>;
  nodes: string[];
  apiKey: string;
  backendId: string;
  emptyResidentBytes: number;
}

/** A size that would not be done by `untilMs` (of performance.now) is left out, and said so. */
export async function growthOfStored(
  context: RowContext,
  sizes: readonly number[],
  untilMs: number,
): Promise<Growth[]> {
  mkdirSync(context.folder, { recursive: true });
  const dataDir = mkdtempSync(path.join(context.folder, "growth-"));
  const brokers = await RestartableBrokers.start({ servers: context.servers, dataDir });
  const load = startChild<LoadVerbs>("load");
  try {
    const world = await openWorld(brokers, load);
    return await growThrough(world, context, sizes, untilMs);
  } finally {
    await load.stop();
    await brokers.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function growThrough(
  world: World,
  context: RowContext,
  sizes: readonly number[],
  untilMs: number,
): Promise<Growth[]> {
  const series = new Series("intents stored");
  let filled = 0;
  for (const size of sizes) {
    const fromMs = performance.now();
    await fillUpTo(world, filled, size);
    filled = size;
    const filledMs = performance.now();
    await measureAt({ world, series, size, rounds: context.rounds, calls: callsOf(context) });
    const doneMs = performance.now();
    const seconds = (ms: number) => (ms / 1_000).toFixed(1);
    context.progress(
      `${size.toLocaleString("en")} intents stored: filled in ${seconds(filledMs - fromMs)} s, measured in ${seconds(doneMs - filledMs)} s`,
    );
    const nextMs = Math.max(doneMs - fromMs, (doneMs - fromMs - FIXED_MS) * TENFOLD);
    if (size === sizes.at(-1) || doneMs + nextMs <= untilMs) continue;
    context.progress(
      `not run: the next size would take about ${seconds(nextMs)} s, and growth may take no longer (--minutes)`,
    );
    break;
  }
  return series.all();
}

const callsOf = ({ seconds }: RowContext): number => Math.ceil(CALLS * Math.min(1, seconds));

async function openWorld(brokers: RestartableBrokers, load: Child<LoadVerbs>): Promise<World> {
  const { place, natsPid } = brokers;
  const service = startChild<ServiceVerbs>("service");
  try {
    const [started, records] = await Promise.all([
      service.call("start", { place }),
      load.call("openSellers", { place, count: NODES, connections: 1 }),
    ]);
    await service.call("registerNodes", records);
    await untilSelectable(started.url, started.apiKey, NODES);
    const emptyResidentBytes = residentBytes(natsPid) ?? 0;
    const { apiKey, backendId } = started;
    return { brokers, load, nodes: records.map(({ id }) => id), apiKey, backendId: backendId!, emptyResidentBytes };
  } finally {
    await service.stop();
  }
}

async function fillUpTo({ brokers, nodes, backendId }: World, from: number, to: number): Promise<void> {
  await brokers.restartNats("late");
  const fill = startChild<FillVerbs>("fill");
  try {
    await fill.call("start", { place: brokers.place, backendId, nodes });
    await fill.call("fill", { from, to });
    await fill.call("skipFilled");
  } finally {
    await fill.stop();
  }
}

/** One size, measured. */
interface Step {
  world: World;
  series: Series;
  size: number;
  /** The best one counts: what else the machine does only adds to it. */
  rounds: number;
  /** Of one round of one kind. */
  calls: number;
}

async function measureAt(step: Step): Promise<void> {
  const { world, series, size, rounds } = step;
  const { brokers } = world;
  const perIntent = (label: string, ms: number) =>
    series.add(label, { what: "time", unit: "µs per stored intent" }, size, (ms * 1_000) / size);
  const heap = async (label: string, service: Child<ServiceVerbs>) =>
    series.add(label, { what: "memory", unit: "MiB" }, size, (await service.call("heapBytes")) / 1024 ** 2);

  perIntent("start of nats-server", await brokers.restartNats("always"));
  await measureColdReads(step);
  await emptyRedis(brokers.place.redisUrl);
  await withService(world, async (service, { startMs }) => {
    perIntent("start with an empty Redis (rebuild)", startMs);
    await heap("service's heap after the rebuild", service);
  });
  const starts: number[] = [];
  for (let start = 1; start < rounds; start++)
    await withService(world, async (_, { startMs }) => void starts.push(startMs));
  await withService(world, async (service, { url, startMs }) => {
    series.add("start with Redis as it was", { what: "time", unit: "ms" }, size, Math.min(...starts, startMs));
    await measureCalls(step, { url, servicePid: service.pid });
    await heap("service's heap after the calls", service);
  });
  const resident = Math.max(RESIDENT_NOISE_BYTES, (residentBytes(brokers.natsPid) ?? 0) - world.emptyResidentBytes);
  series.add("nats-server's memory", { what: "memory", unit: "bytes per stored intent" }, size, resident / size);
}

/** The server keeps a block of the stream (8 MB) in memory once one message of it was read: one read for each of some blocks. */
async function measureColdReads({ world, series, size }: Step): Promise<void> {
  const blocks = Math.min(COLD_READS_MAX, Math.ceil(size / INTENTS_PER_BLOCK));
  const subjects = Array.from({ length: blocks }, (_, block) =>
    SUBJECTS.intent(filledId(Math.floor(((block + 0.5) * size) / blocks))),
  );
  await world.load.call("untilServed");
  const { latenciesMs } = await world.load.call("runDirectGets", subjects);
  series.add("first raw read of a block", { ...RAW, unit: "ms" }, size, percentile(latenciesMs, 0.5));
}

interface At {
  url: string;
  servicePid: number;
}

/** Each call one after another on one connection. */
async function measureCalls(step: Step, at: At): Promise<void> {
  const { load, apiKey } = step.world;
  const { size } = step;
  const { url } = at;
  const post = async (count: number): Promise<Run> => {
    await load.call("preparePosts", { target: { url, path: "/v1/intents", apiKey }, count });
    return load.call("runPosts", { url, connections: 1 });
  };
  const get = (rest: string, oldest: number) => (count: number) => {
    const paths = Array.from({ length: count }, () => `/v1/intents/${anyOf(oldest, size)}${rest}`);
    return load.call("runGets", { url, apiKey, paths });
  };
  const recent = Math.max(0, size - RECENT);
  const raw = (count: number) =>
    load.call(
      "runDirectGets",
      Array.from({ length: count }, () => SUBJECTS.intent(anyOf(0, size))),
    );

  await post(WARM_UP);
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  await measureCall(step, at, "POST", post);
  await measureCall(step, at, "GET intent of the last 1,000", get("", recent));
  await measureCall(step, at, "GET acks of the last 1,000", get("/acks", recent));
  await measureCall(step, at, "GET timeline of the last 1,000", get("/timeline", recent));
  await measureCall(step, at, "raw read of a record, any", raw, RAW);
  await measureCall(step, at, "GET intent, any", get("", 0), { what: "time", cause: BLOCKS });
}

async function measureCall(
  { world: { brokers }, series, size, rounds, calls }: Step,
  { servicePid }: At,
  label: string,
  call: (count: number) => Promise<Run>,
  kind: Omit<Measured, "unit"> = { what: "time" },
): Promise<void> {
  const spentUs = () => (cpuUs(servicePid) ?? 0) + (cpuUs(brokers.natsPid) ?? 0);
  const found: { p50: number; p99: number; cpu: number }[] = [];
  await call(WARM_UP);
  for (let round = 0; round < rounds; round++) {
    const beforeUs = spentUs();
    const { latenciesMs } = await call(calls);
    const cpu = Math.max(TICK_US, spentUs() - beforeUs) / 1_000 / calls;
    found.push({ p50: percentile(latenciesMs, 0.5), p99: percentile(latenciesMs, 0.99), cpu });
  }
  const best = (of: "p50" | "p99" | "cpu") => Math.min(...found.map((round) => round[of]));
  series.add(`${label}, p50`, { ...kind, unit: "ms" }, size, best("p50"));
  series.add(`${label}, p99`, { ...kind, unit: "ms" }, size, best("p99"));
  if (!kind.isRaw && spentUs() > 0)
    series.add(`${label}, CPU`, { ...kind, unit: "ms of service and nats-server" }, size, best("cpu"));
}

/** One of those filled in from `oldest` on. */
const anyOf = (oldest: number, size: number): string => filledId(oldest + Math.floor(Math.random() * (size - oldest)));

async function withService<T>(
  { brokers, apiKey }: World,
  work: (service: Child<ServiceVerbs>, started: StartedService) => Promise<T>,
): Promise<T> {
  const service = startChild<ServiceVerbs>("service");
  try {
    return await work(service, await service.call("start", { place: brokers.place, apiKey }));
  } finally {
    await service.stop();
  }
}

async function emptyRedis(url: string): Promise<void> {
  const redis = new Redis(url);
  await redis.flushall();
  redis.disconnect();
}

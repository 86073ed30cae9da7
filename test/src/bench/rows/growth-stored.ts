// Growth of the record: 1,000 intents stored, then ten times as many and again, up to a million, all of them ended.
// Each size is filled in quickly, then the servers are started again as in production, and the service with an empty Redis.

import { Redis } from "ioredis";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import path from "node:path";
import { type Child, startChild } from "../child-process.js";
import { type FillVerbs, filledId } from "../child/fill.js";
import type { LoadVerbs } from "../child/load.js";
import type { ServiceVerbs, StartedService } from "../child/service.js";
import type { Growth } from "../growth.js";
import { residentBytes } from "../process-cost.js";
import { RestartableBrokers } from "../restartable.js";
import { untilSelectable } from "../rig.js";
import { Series } from "../series.js";
import { percentile } from "../statistics.js";
import type { RowContext } from "./row.js";

const NODES = 10;
const POSTS = 300;
const READS = 200;
const WARM_UP = 50;
const SETTLE_MS = 1_000; // what the warm-up posted is acked and recorded
const RESIDENT_NOISE_BYTES = 1024 ** 2;
const TENFOLD = 10;
const FIXED_MS = 10_000; // of a size, whatever it is: restarts and calls

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
    await measureAt(world, series, size);
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

async function measureAt(world: World, series: Series, size: number): Promise<void> {
  const { brokers } = world;
  const natsMs = await brokers.restartNats("always");
  series.add("start of nats-server", "time", "µs per stored intent", size, (natsMs * 1_000) / size);
  await emptyRedis(brokers.place.redisUrl);
  const rebuilt = await withService(world, async (service, { startMs }) => {
    series.add(
      "service's heap after the rebuild",
      "memory",
      "MiB",
      size,
      (await service.call("heapBytes")) / 1024 ** 2,
    );
    return startMs;
  });
  series.add("start with an empty Redis (rebuild)", "time", "µs per stored intent", size, (rebuilt * 1_000) / size);
  await withService(world, async (service, { url, startMs }) => {
    series.add("start with Redis as it was", "time", "ms", size, startMs);
    await measureCalls(world, series, size, url);
    series.add("service's heap after the calls", "memory", "MiB", size, (await service.call("heapBytes")) / 1024 ** 2);
  });
  const resident = Math.max(RESIDENT_NOISE_BYTES, (residentBytes(brokers.natsPid) ?? 0) - world.emptyResidentBytes);
  series.add("nats-server's memory", "memory", "bytes per stored intent", size, resident / size);
}

async function measureCalls({ load, apiKey }: World, series: Series, size: number, url: string): Promise<void> {
  const post = async (count: number) => {
    await load.call("preparePosts", { target: { url, path: "/v1/intents", apiKey }, count });
    return (await load.call("runPosts", { url, connections: 1 })).latenciesMs;
  };
  await post(WARM_UP);
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  addTimes(series, "POST", size, await post(POSTS));
  for (const [label, rest] of [
    ["GET intent", ""],
    ["GET acks", "/acks"],
    ["GET timeline", "/timeline"],
  ] as const) {
    const paths = Array.from({ length: READS + WARM_UP }, () => `/v1/intents/${anyOf(size)}${rest}`);
    const { latenciesMs } = await load.call("runGets", { url, apiKey, paths });
    addTimes(series, label, size, latenciesMs.slice(WARM_UP));
  }
}

function addTimes(series: Series, label: string, size: number, latenciesMs: number[]): void {
  series.add(`${label}, p50`, "time", "ms", size, percentile(latenciesMs, 0.5));
  series.add(`${label}, p99`, "time", "ms", size, percentile(latenciesMs, 0.99));
}

const anyOf = (size: number): string => filledId(Math.floor(Math.random() * size));

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

// What broadcast and intake both stand on: the connections, the record's appenders, the hot tables, and the one gate before work.
// Refuses to start when a connected server could not keep a promise.

import {
  type Appender,
  type Backbone,
  type Bucket,
  type Credentials,
  type TlsFiles,
  checkNatsPromises,
  connectBackbone,
  createAppender,
  ensureStreams,
  openBucket,
  readDurability,
} from "@outcry/backbone";
import {
  type DeliveryRows,
  type IntakeQueue,
  type RedisStore,
  type RunKeeper,
  type Timers,
  checkRedisPromises,
  connectRedis,
  createDeliveryRows,
  createIntakeQueue,
  createRunKeeper,
  createTimers,
} from "@outcry/jobs";
import { BUCKETS, type Clock, LIMITS, type Log, OutcryError, STREAMS } from "@outcry/protocol";
import { type EventLog, createEventLog } from "./event-log.js";
import type { IntakeJobData } from "./intake-job.js";
import { type IntentBook, createIntentBook } from "./intent-book.js";
import { Outages } from "./outages.js";
import { rebuildFromRecord } from "./rebuild.js";

export interface PlatformOptions {
  /** Shown in NATS' monitoring: `broadcast`, `intake`. */
  name: string;
  natsUrl: string;
  natsCredentials?: Credentials;
  /** Of the system account: only it may read sync_interval over NATS. */
  systemCredentials?: Credentials;
  /** The other way to read it. */
  natsMonitorUrl?: string;
  natsTls?: TlsFiles;
  redisUrl: string;
  replicas: number;
  region: string;
  /** Development only: start although a promise could not be kept. */
  allowUnkeptPromises: boolean;
  clock: Clock;
  log: Log;
}

export interface Platform {
  readonly backbone: Backbone;
  /** Connected as the system account; undefined without its credentials. */
  readonly system: Backbone | undefined;
  readonly redis: RedisStore;
  readonly intents: Appender;
  readonly quotes: Appender;
  readonly deadLetters: Appender;
  readonly nodes: Bucket;
  readonly access: Bucket;
  readonly events: EventLog;
  readonly book: IntentBook;
  readonly rows: DeliveryRows;
  readonly timers: Timers;
  readonly queue: IntakeQueue<IntakeJobData>;
  readonly run: RunKeeper;
  readonly clock: Clock;
  readonly log: Log;
  /** Resolves while NATS and Redis answer; work is taken only then. */
  gate(signal?: AbortSignal): Promise<void>;
  /** Outages of either since the start. */
  readonly outages: Outages;
  close(): Promise<void>;
}

export async function connectPlatform(options: PlatformOptions): Promise<Platform> {
  const { log, clock, name } = options;
  const connection = {
    servers: options.natsUrl.split(","),
    log,
    clock,
    ...(options.natsTls ? { tls: options.natsTls } : {}),
  };
  const backbone = await connectBackbone({
    ...connection,
    name,
    inboxPrefix: "_INBOX_svc",
    ...(options.natsCredentials ? { credentials: options.natsCredentials } : {}),
  });
  const system = options.systemCredentials
    ? await connectBackbone({
        ...connection,
        name: `${name}-system`,
        inboxPrefix: "_INBOX_sys",
        credentials: options.systemCredentials,
      })
    : undefined;
  const redis = connectRedis({ url: options.redisUrl, log, clock });
  const outages = new Outages(backbone.health, redis.health);
  await redis.health.whenUp(AbortSignal.timeout(10_000)).catch((cause: unknown) => {
    throw new OutcryError("dependency_unavailable", `redis: no connection to ${new URL(options.redisUrl).host}`, {
      cause,
    });
  });
  await checkPromises(options, redis, system);
  await ensureStreams(backbone, { replicas: options.replicas, region: options.region });

  const events = createEventLog({ backbone, appender: createAppender(backbone, { stream: STREAMS.events }) });
  const queue = createIntakeQueue<IntakeJobData>({ store: redis, log, clock });
  const run = createRunKeeper({
    store: redis,
    log,
    rebuild: (write) => rebuildFromRecord({ backbone, queue, clock, log }, write),
  });
  await run.ensure();

  return {
    backbone,
    system,
    redis,
    intents: createAppender(backbone, { stream: STREAMS.intents }),
    quotes: createAppender(backbone, { stream: STREAMS.quotes }),
    deadLetters: createAppender(backbone, { stream: STREAMS.deadLetters }),
    nodes: openBucket(backbone, BUCKETS.nodes, { log }),
    access: openBucket(backbone, BUCKETS.access, { log }),
    events,
    book: createIntentBook({ backbone, clock }),
    rows: createDeliveryRows({ store: redis, clock }),
    timers: createTimers(redis),
    queue,
    run,
    clock,
    log,
    outages,
    async gate(signal) {
      await backbone.health.whenUp(signal);
      await redis.health.whenUp(signal);
    },
    async close() {
      await queue.close();
      await redis.close();
      await system?.close();
      await backbone.close();
    },
  };
}

async function checkPromises(options: PlatformOptions, redis: RedisStore, system: Backbone | undefined): Promise<void> {
  const durability = await readDurability({
    ...(system ? { systemBackbone: system } : {}),
    ...(options.natsMonitorUrl ? { monitoringUrl: options.natsMonitorUrl } : {}),
  });
  const unkept = [
    ...checkNatsPromises(durability, { payloadBytesMin: LIMITS.recordBytesMax }),
    ...(await checkRedisPromises(redis)),
  ];
  if (unkept.length === 0) return;
  const lines = unkept.map(
    ({ promise, setting, found, wanted, fixLine }) =>
      `${setting} is ${found}, must be ${wanted} (${promise}) → ${fixLine}`,
  );
  if (!options.allowUnkeptPromises) throw new OutcryError("promise_unkept", lines.join("\n"));
  for (const line of lines) options.log.error({ unkept: line }, "DEVELOPMENT ONLY: a promise cannot be kept");
}

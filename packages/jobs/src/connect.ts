// The connection to Redis. Commands fail at once while it is down (nothing queues in memory), reconnecting never ends.
// ioredis' errors are translated here and nowhere else.

import type { Clock, Log } from "@outcry/protocol";
import { OutcryError } from "@outcry/protocol";
import { Redis, type RedisOptions } from "ioredis";
import { createHealth, type RedisHealth } from "./health.js";

const RECONNECT_MAX_MS = 500; // a restarted Redis is found again within this
const ANSWER_TIMEOUT_MS = 4_000; // a paused Redis counts as down after this; an fsync on a busy disk takes less
const CLOSE_TIMEOUT_MS = 1_000;
const DISCONNECT_TIMEOUT_MS = 200; // ioredis keeps the process alive for this long after a cut

export interface ConnectOptions {
  url: string;
  tls?: RedisOptions["tls"];
  /** In braces, so that a Redis Cluster keeps all keys in one slot and every script stays atomic. */
  keyPrefix?: string;
  answerTimeoutMs?: number;
  log: Log;
  clock: Clock;
}

export interface BullConnection {
  readonly client: Redis;
  /** Closes the connection and those that BullMQ has made from it: left alone, they would reconnect for ever. */
  close(): Promise<void>;
}

export interface RedisStore {
  /** ioredis' client with the key prefix. For this package; others use the stores built on it. */
  readonly client: Redis;
  readonly keyPrefix: string;
  readonly health: RedisHealth;
  /** A connection of BullMQ's own: no key prefix. `waiting` queues commands and waits for ever, `failing` fails at once. */
  connectBull(mode: "waiting" | "failing"): BullConnection;
  close(): Promise<void>;
}

export function connectRedis(options: ConnectOptions): RedisStore {
  const { log, clock, keyPrefix = "{outcry}:" } = options;
  const failing: RedisOptions = {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    socketTimeout: options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS,
  };
  const connect = (special: RedisOptions): Redis => {
    const client = new Redis(options.url, {
      ...(options.tls ? { tls: options.tls } : {}),
      connectTimeout: ANSWER_TIMEOUT_MS,
      disconnectTimeout: DISCONNECT_TIMEOUT_MS,
      retryStrategy: (attempt) => Math.min(20 * attempt, RECONNECT_MAX_MS),
      ...special,
    });
    // Without a listener ioredis prints to the console; the state is logged on change, not per retry.
    client.on("error", (error: Error) => log.debug({ error: error.message }, "redis connection error"));
    return client;
  };

  const client = connect({ ...failing, keyPrefix });
  const health = createHealth(clock);
  client.on("ready", () => health.set(true));
  client.on("close", () => health.set(false));
  let closing = false;
  health.onChange((up) => {
    if (up) log.info({}, "redis is up");
    else if (!closing) log.warn({}, "redis is down");
  });

  return {
    client,
    keyPrefix,
    health,
    connectBull: (mode) => withDuplicates(connect(mode === "waiting" ? { maxRetriesPerRequest: null } : failing)),
    async close() {
      closing = true;
      await closeClient(client);
    },
  };
}

function withDuplicates(client: Redis): BullConnection {
  const made: Redis[] = [];
  const duplicate = client.duplicate.bind(client);
  client.duplicate = (override) => {
    const copy = duplicate(override);
    made.push(copy);
    return copy;
  };
  return {
    client,
    async close() {
      await closeClient(client);
      for (const copy of made) copy.disconnect();
    },
  };
}

/** QUIT when it is answered in time, else cut. */
export async function closeClient(client: Redis): Promise<void> {
  if (client.status === "ready") {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
    });
    await Promise.race([client.quit().catch(() => undefined), late]); // cut all the same
    clearTimeout(timer);
  }
  client.disconnect();
}

/** The run marker is missing: Redis has lost its data. `withRebuild` makes it anew from the record. */
export class RebuildNeeded extends Error {
  override readonly name = "RebuildNeeded";
  readonly kind = "rebuild_needed";

  constructor(cause?: unknown) {
    super("rebuild_needed: Redis holds no run marker", { cause });
  }
}

export const isRebuildNeeded = (error: unknown): error is RebuildNeeded => error instanceof RebuildNeeded;

// Codes of replies that an unchanged command may later not get: redis.io, "Redis error replies" and src/server.c.
const TEMPORARY_REPLY = /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|OOM|BUSY|NOREPLICAS|UNKILLABLE)\b/;

/** What callers see for an error of ioredis. A faulty command stays as it is: that is a bug here. */
export function translateRedisError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof OutcryError || error instanceof RebuildNeeded) return error;
  if (error.name !== "ReplyError") {
    return new OutcryError("dependency_unavailable", `redis: ${error.message}`, { cause: error });
  }
  if (error.message.includes("REBUILD_NEEDED")) return new RebuildNeeded(error);
  if (TEMPORARY_REPLY.test(error.message)) {
    return new OutcryError("dependency_unavailable", `redis: ${error.message}`, { cause: error });
  }
  return error;
}

/** Runs commands and translates what they throw. */
export async function translated<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw translateRedisError(error);
  }
}

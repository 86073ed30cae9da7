// What the connected Redis must be set to so that our promises hold. A setting that cannot be read counts as unkept.

import { type RedisStore, translated } from "./connect.js";

const VERSION_FLOOR = [6, 2] as const; // GETDEL, ZADD GT, and ioredis 6

export interface UnkeptPromise {
  promise: string;
  setting: string;
  found: string;
  wanted: string;
  /** The line to put into the configuration. */
  fixLine: string;
}

const WANTED = [
  {
    promise: "A timer, delivery row or queued quote survives a crash of Redis.",
    setting: "appendonly",
    wanted: "yes",
  },
  {
    promise: "What Redis has answered survives a power cut.",
    setting: "appendfsync",
    wanted: "always",
  },
  {
    promise: "No timer, row or job is silently evicted.",
    setting: "maxmemory-policy",
    wanted: "noeviction",
  },
] as const;

/** The promises that this Redis would not keep; empty is what you want. */
export async function checkRedisPromises(store: RedisStore): Promise<UnkeptPromise[]> {
  const unkept: UnkeptPromise[] = [];
  const version = await readVersion(store);
  if (!atLeast(version, VERSION_FLOOR)) {
    unkept.push({
      promise: "Scripts and queues run as tested.",
      setting: "redis_version",
      found: version ?? "unreadable",
      wanted: `>= ${VERSION_FLOOR.join(".")}`,
      fixLine: "install redis-server 7.0 or newer, and let the user run INFO",
    });
  }
  for (const row of WANTED) {
    const found = await readSetting(store, row.setting);
    if (found !== row.wanted) {
      unkept.push({ ...row, found: found ?? "unreadable", fixLine: `${row.setting} ${row.wanted}` });
    }
  }
  return unkept;
}

async function readVersion(store: RedisStore): Promise<string | undefined> {
  const info = await readable(store.client.info("server"));
  return info?.match(/^redis_version:(\S+)/m)?.[1];
}

async function readSetting(store: RedisStore, setting: string): Promise<string | undefined> {
  const reply = await readable(store.client.config("GET", setting) as Promise<unknown>);
  // RESP2 answers a list, RESP3 a map.
  const value: unknown = Array.isArray(reply) ? reply[1] : (reply as Record<string, unknown> | undefined)?.[setting];
  return typeof value === "string" ? value : undefined;
}

/** undefined when Redis refuses the command (ACL, renamed); an outage is thrown. */
async function readable<T>(reply: Promise<T>): Promise<T | undefined> {
  try {
    return await translated(reply);
  } catch (error) {
    if (error instanceof Error && error.name === "ReplyError") return undefined;
    throw error;
  }
}

function atLeast(version: string | undefined, [major, minor]: readonly [number, number]): boolean {
  const [foundMajor = 0, foundMinor = 0] = (version ?? "").split(".").map(Number);
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
}

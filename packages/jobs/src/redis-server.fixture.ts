// A real redis-server for this package's tests, set as in production; the path comes from OUTCRY_REDIS_SERVER.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { silentLog, systemClock } from "@outcry/protocol";
import { Redis } from "ioredis";
import { connectRedis, type RedisStore } from "./connect.js";

const AS_IN_PRODUCTION = ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"];

export interface TestRedis {
  readonly url: string;
  connect(): Promise<RedisStore>;
  /** kill -9; data stays. */
  kill(): Promise<void>;
  start(): Promise<void>;
  signal(name: NodeJS.Signals): void;
  remove(): Promise<void>;
}

export async function startTestRedis(settings: string[] = AS_IN_PRODUCTION): Promise<TestRedis> {
  const binary = process.env["OUTCRY_REDIS_SERVER"] ?? "redis-server";
  const dir = await mkdtemp(join(tmpdir(), "outcry-redis-"));
  const port = await freePort();
  const stores: RedisStore[] = [];
  let child: ChildProcess | undefined;

  const redis: TestRedis = {
    url: `redis://127.0.0.1:${port}`,
    async connect() {
      const store = connectRedis({ url: redis.url, log: silentLog, clock: systemClock, answerTimeoutMs: 1_000 });
      stores.push(store);
      await store.health.whenUp(AbortSignal.timeout(5_000));
      return store;
    },
    async kill() {
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
    async start() {
      child = spawn(binary, ["--port", String(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", ...settings], {
        stdio: "ignore",
      });
      child.once("error", (error) => {
        throw new Error(`cannot start ${binary}; set OUTCRY_REDIS_SERVER`, { cause: error });
      });
      await answering(redis.url);
    },
    signal: (name) => void child?.kill(name),
    async remove() {
      await Promise.all(stores.map((store) => store.close()));
      await redis.kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
  await redis.start();
  return redis;
}

async function answering(url: string): Promise<void> {
  const client = new Redis(url, { retryStrategy: () => 20, maxRetriesPerRequest: 250 });
  client.on("error", () => undefined);
  await client.ping();
  client.disconnect();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Polls until the check holds; fails after five seconds. */
export async function eventually(check: () => boolean | Promise<boolean>, withinMs = 5_000): Promise<void> {
  const until = Date.now() + withinMs;
  while (!(await check())) {
    if (Date.now() > until) throw new Error("did not come true in time");
    await sleep(20);
  }
}

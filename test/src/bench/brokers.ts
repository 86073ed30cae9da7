// The servers of a row: one nats-server, or three as a cluster whose streams have three replicas, and Redis.

import { openAuthFolder, operatorOf } from "@outcry/backbone";
import { startBrokers } from "@outcry/dev";
import { systemClock } from "@outcry/protocol";
import { type FoundServers, type RunningNats, pickPort, startNats, startRedis } from "@outcry/servers";
import path from "node:path";
import type { Place } from "./child/place.js";

const CLUSTER = 3; // the least that keeps a majority without one
const onUnexpectedExit = (what: string): void => void process.stderr.write(`bench: ${what}\n`);
const progress = (): void => undefined;

export interface BenchBrokers {
  place: Place;
  /** By the name that the table shows. */
  pids: Record<string, number>;
  stop(): Promise<void>;
}

export interface BenchBrokerOptions {
  servers: FoundServers;
  dataDir: string;
  replicas: 1 | 3;
}

export function startBenchBrokers(options: BenchBrokerOptions): Promise<BenchBrokers> {
  return options.replicas === 1 ? startOne(options) : startCluster(options);
}

async function startOne({ servers, dataDir }: BenchBrokerOptions): Promise<BenchBrokers> {
  const ports = { natsPort: 0, redisPort: 0 };
  const brokers = await startBrokers({ dataDir, ...ports, servers, progress, clock: systemClock, onUnexpectedExit });
  const { nats, redis, authDir } = brokers;
  return {
    place: { natsUrl: nats.url, redisUrl: redis.url, authDir, replicas: 1 },
    pids: { "nats-server": nats.pid, "redis-server": redis.pid },
    stop: () => brokers.stop(),
  };
}

/** All connect to the first server, which also leads the streams that are compared (`leadFrom`): both sides go the same way. */
async function startCluster({ servers, dataDir }: BenchBrokerOptions): Promise<BenchBrokers> {
  const authDir = path.join(dataDir, "nats-auth");
  const operator = operatorOf(openAuthFolder(authDir, { clock: systemClock }).tree);
  const routePorts: number[] = [];
  while (routePorts.length < CLUSTER) routePorts.push(await freePort(routePorts));
  const [redis, ...nats] = await Promise.all([
    startRedis({ binary: servers.redisServer.path, dataDir: path.join(dataDir, "redis"), progress, onUnexpectedExit }),
    // Together: none of them is healthy before a majority is there.
    ...routePorts.map((_, index) =>
      startNats({
        binary: servers.natsServer.path,
        dataDir: path.join(dataDir, `nats-${index + 1}`),
        operator: { ...operator, dirPath: path.join(dataDir, `nats-accounts-${index + 1}`) },
        extraConfig: clusterLines(routePorts, index),
        progress,
        onUnexpectedExit,
      }),
    ),
  ]);
  return {
    place: { natsUrl: nats[0]!.url, redisUrl: redis.url, authDir, replicas: 3 },
    pids: { ...pidsOf(nats), "redis-server": redis.pid },
    async stop() {
      await Promise.all([redis, ...nats].map((server) => server.stop()));
    },
  };
}

export const serverName = (index: number): string => `bench-${index + 1}`;

const clusterLines = (routePorts: readonly number[], index: number): string =>
  [
    `server_name: ${serverName(index)}`, // the last one counts
    "cluster {",
    "  name: bench",
    `  listen: "127.0.0.1:${routePorts[index]}"`,
    `  routes: [${routePorts.map((port) => `"nats://127.0.0.1:${port}"`).join(", ")}]`,
    "}",
  ].join("\n");

const pidsOf = (nats: readonly RunningNats[]): Record<string, number> =>
  Object.fromEntries(nats.map(({ pid }, index) => [`nats-server ${index + 1}`, pid]));

async function freePort(taken: readonly number[]): Promise<number> {
  for (;;) {
    const port = await pickPort(0, progress);
    if (!taken.includes(port)) return port;
  }
}

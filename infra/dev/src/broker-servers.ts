// Both servers as children of this process, with their data and the NATS accounts under the data folder.

import path from "node:path";
import { type AuthFolder, openAuthFolder, operatorOf } from "@outcry/backbone";
import type { Clock } from "@outcry/protocol";
import {
  type FoundServers,
  type NatsTls,
  type Progress,
  type RunningNats,
  type RunningRedis,
  startNats,
  startRedis,
} from "@outcry/servers";

export interface BrokerOptions {
  dataDir: string;
  /** Wished for; the next free one is used when it is taken. 0 = any. */
  natsPort: number;
  redisPort: number;
  servers: FoundServers;
  progress: Progress;
  clock: Clock;
  onUnexpectedExit: (what: string) => void;
  /** TLS on the NATS listener. */
  natsTls?: NatsTls;
}

export interface Brokers {
  readonly nats: RunningNats;
  readonly redis: RunningRedis;
  readonly auth: AuthFolder;
  readonly authDir: string;
  stop(): Promise<void>;
}

export async function startBrokers(options: BrokerOptions): Promise<Brokers> {
  const [{ nats, auth, authDir }, redis] = await Promise.all([startNatsBroker(options), startRedisBroker(options)]);
  return {
    nats,
    redis,
    auth,
    authDir,
    async stop() {
      await Promise.all([nats.stop(), redis.stop()]);
    },
  };
}

export async function startNatsBroker(options: BrokerOptions): Promise<Pick<Brokers, "nats" | "auth" | "authDir">> {
  const { dataDir, servers, progress, onUnexpectedExit, natsTls } = options;
  const authDir = path.join(dataDir, "nats-auth");
  const auth = openAuthFolder(authDir, { clock: options.clock });
  const nats = await startNats({
    binary: servers.natsServer.path,
    dataDir: path.join(dataDir, "nats"),
    port: options.natsPort,
    progress,
    onUnexpectedExit,
    ...(natsTls === undefined ? {} : { tls: natsTls }),
    operator: { ...operatorOf(auth.tree), dirPath: path.join(dataDir, "nats-accounts") },
  });
  return { nats, auth, authDir };
}

export function startRedisBroker(options: BrokerOptions): Promise<RunningRedis> {
  const { dataDir, servers, progress, onUnexpectedExit } = options;
  return startRedis({
    binary: servers.redisServer.path,
    dataDir: path.join(dataDir, "redis"),
    port: options.redisPort,
    progress,
    onUnexpectedExit,
  });
}

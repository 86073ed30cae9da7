// Everything in one process: both servers as children, and the three services around one configuration and one port.

import path from "node:path";
import { broadcastFromContext } from "@outcry/broadcast";
import { gatewayFromContext } from "@outcry/gateway";
import { intakeFromContext } from "@outcry/intake";
import { systemClock } from "@outcry/protocol";
import { type Env, createContext } from "@outcry/runtime";
import { type FoundServers, type Progress, pickPort } from "@outcry/servers";
import { type Brokers, startBrokers } from "./broker-servers.js";

export interface StackOptions {
  dataDir: string;
  /** Wished for; 0 = any. */
  ports: { http: number; nats: number; redis: number };
  servers: FoundServers;
  /** Variables on top of what the stack sets itself. */
  env: Env;
  progress: Progress;
}

export interface Stack {
  readonly url: string;
  readonly brokers: Brokers;
  /** At the first start on this data only. */
  readonly adminKey: string | undefined;
  /** Services first, servers last. False when something had to be cut off. */
  stop(): Promise<boolean>;
}

export async function startStack(options: StackOptions): Promise<Stack> {
  const { dataDir, ports, progress } = options;
  const brokers = await startBrokers({
    dataDir,
    servers: options.servers,
    natsPort: ports.nats,
    redisPort: ports.redis,
    progress,
    clock: systemClock,
    onUnexpectedExit: (what) => progress(`${what}; the services wait for it to come back`),
  });
  progress(`nats-server at ${brokers.nats.url}, redis-server at ${brokers.redis.url}`);
  try {
    const context = createContext("outcry", {
      OUTCRY_LOG_LEVEL: "warn",
      ...options.env,
      OUTCRY_PORT: String(await pickPort(ports.http, progress)),
      OUTCRY_DATA_DIR: path.resolve(dataDir),
      OUTCRY_NATS_URL: brokers.nats.url,
      OUTCRY_REDIS_URL: brokers.redis.url,
      OUTCRY_NATS_AUTH_DIR: brokers.authDir,
    });
    await intakeFromContext(context);
    const { service, url } = await broadcastFromContext(context, ({ app }) => gatewayFromContext(context, app));
    return {
      url,
      brokers,
      adminKey: service.adminKey,
      async stop() {
        const clean = await context.lifecycle.stop("asked to");
        await brokers.stop();
        return clean;
      },
    };
  } catch (error) {
    await brokers.stop();
    throw error;
  }
}

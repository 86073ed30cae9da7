// Everything in one process: the servers, and the three services around one configuration and one port.

import path from "node:path";
import { broadcastFromContext, type RouteTable } from "@outcry/broadcast";
import { gatewayFromContext } from "@outcry/gateway";
import { intakeFromContext } from "@outcry/intake";
import { createContext } from "@outcry/runtime";
import { pickPort } from "@outcry/servers";
import { type ReachedServers, type ReachOptions, reachServers } from "./reach-servers.js";

export interface StackOptions extends ReachOptions {
  ports: ReachOptions["ports"] & { http: number };
}

export interface Stack {
  readonly url: string;
  readonly servers: ReachedServers;
  /** At the first start on this data only. */
  readonly adminKey: string | undefined;
  /** Every HTTP route with its roles. */
  readonly routes: RouteTable;
  /** Services first, servers last. False when something had to be cut off. */
  stop(): Promise<boolean>;
}

export async function startStack(options: StackOptions): Promise<Stack> {
  const { dataDir, ports, progress } = options;
  const servers = await reachServers(options);
  progress(`nats-server at ${servers.natsUrl}, redis-server at ${new URL(servers.redisUrl).host}`);
  try {
    const context = createContext("outcry", {
      OUTCRY_LOG_LEVEL: "warn",
      ...options.env,
      OUTCRY_PORT: String(await pickPort(ports.http, progress)),
      OUTCRY_DATA_DIR: path.resolve(dataDir),
      OUTCRY_NATS_URL: servers.natsUrl,
      OUTCRY_REDIS_URL: servers.redisUrl,
      OUTCRY_NATS_AUTH_DIR: servers.natsAuthDir,
    });
    await intakeFromContext(context);
    const { service, url } = await broadcastFromContext(context, ({ app }) => gatewayFromContext(context, app));
    return {
      url,
      servers,
      adminKey: service.adminKey,
      routes: service.routes,
      async stop() {
        const clean = await context.lifecycle.stop("asked to");
        await servers.stop();
        return clean;
      },
    };
  } catch (error) {
    await servers.stop();
    throw error;
  }
}

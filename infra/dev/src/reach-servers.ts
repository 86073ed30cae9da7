// The servers that the development stack uses: those that NATS_URL and REDIS_URL name, else children of this process.

import { OutcryError, systemClock } from "@outcry/protocol";
import type { Env } from "@outcry/runtime";
import type { FoundServers, Progress } from "@outcry/servers";
import { type BrokerOptions, startNatsBroker, startRedisBroker } from "./broker-servers.js";

export interface ReachOptions {
  dataDir: string;
  /** Wished for; 0 = any. */
  ports: { nats: number; redis: number };
  /** Asked only when a server has to be started. */
  find: () => Promise<FoundServers>;
  env: Env;
  progress: Progress;
}

export interface ReachedServers {
  readonly natsUrl: string;
  readonly redisUrl: string;
  readonly natsAuthDir: string;
  /** Of a server that was started here. */
  readonly natsMonitorUrl: string | undefined;
  /** Stops what was started here; a server that was given goes on. */
  stop(): Promise<void>;
}

export async function reachServers(options: ReachOptions): Promise<ReachedServers> {
  const { env, progress } = options;
  const given = { nats: env["OUTCRY_NATS_URL"] || env["NATS_URL"], redis: env["OUTCRY_REDIS_URL"] || env["REDIS_URL"] };
  const natsAuthDir = env["OUTCRY_NATS_AUTH_DIR"];
  if (given.nats && !natsAuthDir) {
    throw new OutcryError(
      "config_invalid",
      "NATS_URL names a server, so OUTCRY_NATS_AUTH_DIR must name the folder with its accounts (auth-tree.json and .creds files)",
    );
  }
  const start: BrokerOptions | undefined =
    given.nats && given.redis
      ? undefined
      : {
          dataDir: options.dataDir,
          servers: await options.find(),
          natsPort: options.ports.nats,
          redisPort: options.ports.redis,
          progress,
          clock: systemClock,
          onUnexpectedExit: (what) => progress(`${what}; the services wait for it to come back`),
        };
  const [nats, redis] = await Promise.all([
    given.nats ? undefined : startNatsBroker(start!),
    given.redis ? undefined : startRedisBroker(start!),
  ]);
  return {
    natsUrl: given.nats || nats!.nats.url,
    redisUrl: given.redis || redis!.url,
    natsAuthDir: natsAuthDir && given.nats ? natsAuthDir : nats!.authDir,
    natsMonitorUrl: nats?.nats.monitorUrl,
    async stop() {
      await Promise.all([nats?.nats.stop(), redis?.stop()]);
    },
  };
}

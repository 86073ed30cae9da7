// Servers that are restarted between the steps of a row: filled while writes are synced late, measured while they are synced always.

import { type AuthFolder, connectBackbone, ensureStreams, openAuthFolder, operatorOf } from "@outcry/backbone";
import { STREAMS, silentLog, systemClock } from "@outcry/protocol";
import { type FoundServers, type RunningNats, type RunningRedis, startNats, startRedis } from "@outcry/servers";
import path from "node:path";
import type { Place } from "./child/place.js";

const GIB = 1024 ** 3;
/** A million intents need 2.1 and 3.7 GiB of them. */
const STREAM_BYTES_MAX = { [STREAMS.intents]: 6 * GIB, [STREAMS.events]: 6 * GIB };
const progress = (): void => undefined;

export interface RestartableOptions {
  servers: FoundServers;
  dataDir: string;
}

export class RestartableBrokers {
  readonly place: Place;
  readonly #options: RestartableOptions;
  readonly #auth: AuthFolder;
  readonly #redis: RunningRedis;
  #nats: RunningNats;

  private constructor(
    options: RestartableOptions,
    auth: AuthFolder,
    authDir: string,
    redis: RunningRedis,
    nats: RunningNats,
  ) {
    this.#options = options;
    this.#auth = auth;
    this.#redis = redis;
    this.#nats = nats;
    this.place = { natsUrl: nats.url, redisUrl: redis.url, authDir, replicas: 1 };
  }

  static async start(options: RestartableOptions): Promise<RestartableBrokers> {
    const { servers, dataDir } = options;
    const authDir = path.join(dataDir, "nats-auth");
    const auth = openAuthFolder(authDir, { clock: systemClock });
    const redis = await startRedis({
      binary: servers.redisServer.path,
      dataDir: path.join(dataDir, "redis"),
      progress,
      onUnexpectedExit: told,
    });
    const nats = await natsAt(options, auth, 0, "always");
    const brokers = new RestartableBrokers(options, auth, authDir, redis, nats);
    await brokers.#makeStreams();
    return brokers;
  }

  get natsPid(): number {
    return this.#nats.pid;
  }

  /** On the same port: who is connected finds it again. Returns how long the start took, ms. */
  async restartNats(sync: "always" | "late"): Promise<number> {
    await this.#nats.stop();
    const fromMs = performance.now();
    this.#nats = await natsAt(this.#options, this.#auth, this.#nats.port, sync);
    return performance.now() - fromMs;
  }

  async stop(): Promise<void> {
    await Promise.all([this.#nats.stop(), this.#redis.stop()]);
  }

  /** Before any service does: with more room than a developer's disk has to give. */
  async #makeStreams(): Promise<void> {
    const backbone = await connectBackbone({
      servers: [this.place.natsUrl],
      credentials: { creds: this.#auth.creds.service },
      name: "bench-streams",
      inboxPrefix: "_INBOX_svc",
      log: silentLog,
      clock: systemClock,
    });
    await ensureStreams(backbone, { replicas: 1, region: "local", maxBytes: STREAM_BYTES_MAX });
    await backbone.close();
  }
}

const told = (what: string): void => void process.stderr.write(`bench: ${what}\n`);

function natsAt(
  { servers, dataDir }: RestartableOptions,
  auth: AuthFolder,
  port: number,
  sync: "always" | "late",
): Promise<RunningNats> {
  const folder = path.join(dataDir, "nats");
  return startNats({
    binary: servers.natsServer.path,
    dataDir: folder,
    port,
    operator: { ...operatorOf(auth.tree), dirPath: path.join(dataDir, "nats-accounts") },
    progress,
    onUnexpectedExit: told,
    // The whole block again: of a setting that stands twice the last one counts.
    ...(sync === "always"
      ? {}
      : {
          extraConfig: `jetstream {\n  store_dir: ${JSON.stringify(path.join(folder, "jetstream"))}\n  sync_interval: "2m"\n}`,
        }),
  });
}

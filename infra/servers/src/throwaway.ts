// Servers of one's own for a test: a fresh folder, any free port, and `remove`, which leaves nothing behind. The binaries
// are those that OUTCRY_NATS_SERVER and OUTCRY_REDIS_SERVER name, else the ones on PATH; nothing is fetched here.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { NatsOperator } from "./nats-config.js";
import type { RunningServer } from "./running-server.js";
import { natsServer, redisServer, type ServerKind } from "./server-kinds.js";
import { type RunningNats, startNats } from "./start-nats.js";
import { type RunningRedis, startRedis } from "./start-redis.js";

export interface ThrowawayOptions {
  /** Appended to the server's configuration as it is; of a setting that stands twice the last counts. */
  readonly extraConfig?: string;
}

export interface ThrowawayNatsOptions extends ThrowawayOptions {
  /** Called with the folder: keys may be put there before the server starts. */
  operator?(this: void, folder: string): Omit<NatsOperator, "dirPath">;
}

type Throwaway<Server extends RunningServer> = Server & {
  readonly folder: string;
  /** Called while the server still answers: for the connections to it. */
  beforeRemove(this: void, close: () => Promise<unknown>): void;
  /** kill -9, and the folder with everything in it is gone. May be called twice. */
  remove(this: void): Promise<void>;
};

export type ThrowawayNats = Throwaway<RunningNats>;
export type ThrowawayRedis = Throwaway<RunningRedis>;

export async function throwawayNats(options: ThrowawayNatsOptions = {}): Promise<ThrowawayNats> {
  const { operator, ...more } = options;
  return throwaway((folder) => {
    const seeded = operator && { operator: { ...operator(folder), dirPath: path.join(folder, "accounts") } };
    return startNats({ binary: binaryOf(natsServer), dataDir: folder, ...more, ...seeded });
  });
}

export async function throwawayRedis(options: ThrowawayOptions = {}): Promise<ThrowawayRedis> {
  return throwaway((folder) => startRedis({ binary: binaryOf(redisServer), dataDir: folder, ...options }));
}

async function throwaway<Server extends RunningServer>(
  start: (folder: string) => Promise<Server>,
): Promise<Throwaway<Server>> {
  const folder = mkdtempSync(path.join(tmpdir(), "outcry-"));
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  const closers: (() => Promise<unknown>)[] = [];
  try {
    const server = await start(folder);
    return Object.assign(server, {
      folder,
      beforeRemove: (close: () => Promise<unknown>) => void closers.push(close),
      async remove() {
        server.resume(); // a paused server would keep its connections waiting
        await Promise.all(closers.map((close) => close()));
        await server.kill9();
        await server.stop();
        removeFolder();
      },
    });
  } catch (error) {
    removeFolder();
    throw error;
  }
}

function binaryOf(kind: ServerKind): string {
  const named = process.env[kind.variable];
  return named ? path.resolve(named) : kind.name; // the server starts in a folder of its own
}

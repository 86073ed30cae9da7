// Starts redis-server on the loopback address: append-only file synced on every write, nothing ever evicted.

import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import path from "node:path";
import { claimDataFolder } from "./data-folder.js";
import { pickPort } from "./pick-port.js";
import { type Progress, silent } from "./progress.js";
import { type RunningServer, ServerRun, StartFailed } from "./running-server.js";

const startTimeoutMs = 60_000; // loading a large AOF takes seconds; more is a fault
const portAttemptsMax = 5; // a free port may be taken between the look and the start
const pingTimeoutMs = 1000;

export interface StartRedisOptions {
  readonly binary: string;
  readonly dataDir: string;
  /** Wished for; taken → the next free one. Left out → any free port. */
  readonly port?: number;
  /** Appended to redis.conf as it is. */
  readonly extraConfig?: string;
  readonly progress?: Progress;
  readonly onUnexpectedExit?: (what: string) => void;
}

export interface RunningRedis extends RunningServer {
  readonly configFile: string;
}

export async function startRedis(options: StartRedisOptions): Promise<RunningRedis> {
  const progress = options.progress ?? silent;
  const folder = await claimDataFolder(path.resolve(options.dataDir), "redis-server", progress);
  const configFile = path.join(folder.path, "redis.conf");
  const logFile = path.join(folder.path, "redis.log");
  try {
    for (let attempt = 1; ; attempt += 1) {
      const port = await pickPort(options.port ?? 0, progress);
      writeFileSync(configFile, configText(folder.path, port, options.extraConfig));
      const run = new ServerRun({
        name: "redis-server",
        binary: options.binary,
        args: [configFile],
        logFile,
        folder,
        startTimeoutMs,
        isHealthy: () => answersPing(port),
        ...(options.onUnexpectedExit && { onUnexpectedExit: options.onUnexpectedExit }),
      });
      try {
        await run.start();
        return running(run, port, configFile, logFile);
      } catch (error) {
        if (!(error instanceof StartFailed && error.portTaken) || attempt === portAttemptsMax) throw error;
      }
    }
  } catch (error) {
    folder.release();
    throw error;
  }
}

function configText(folder: string, port: number, extraConfig: string | undefined): string {
  return [
    "bind 127.0.0.1",
    `port ${port}`,
    `dir ${JSON.stringify(folder)}`,
    "daemonize no",
    "appendonly yes",
    "appendfsync always",
    'save ""',
    "maxmemory-policy noeviction",
    ...(extraConfig === undefined ? [] : [extraConfig]),
    "",
  ].join("\n");
}

/** +PONG only when it serves: while it loads its data it answers -LOADING. */
function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const end = (healthy: boolean) => {
      socket.destroy();
      resolve(healthy);
    };
    socket.setTimeout(pingTimeoutMs, () => end(false));
    socket.once("connect", () => socket.write("PING\r\n"));
    socket.once("data", (bytes) => end(bytes.toString("latin1").startsWith("+PONG")));
    socket.once("error", () => end(false));
    socket.once("close", () => end(false));
  });
}

function running(run: ServerRun, port: number, configFile: string, logFile: string): RunningRedis {
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    configFile,
    logFile,
    get pid() {
      return run.pid;
    },
    stop: () => run.stop(),
    kill9: () => run.kill9(),
    pause: () => run.pause(),
    resume: () => run.resume(),
    restart: () => run.restart(),
  };
}

// Starts nats-server with JetStream on the loopback address: every write synced, state in one folder.
// Streams, users and keys are not made here (packages/backbone does); operator mode takes finished JWTs.

import { mkdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import path from "node:path";
import { claimDataFolder } from "./data-folder.js";
import { type NatsOperator, type NatsTls, writeNatsConfig } from "./nats-config.js";
import { pickPort } from "./pick-port.js";
import { type Progress, silent } from "./progress.js";
import { type RunningServer, ServerRun, StartFailed } from "./running-server.js";

const startTimeoutMs = 60_000; // recovering a large store takes seconds; more is a fault
const portAttemptsMax = 5; // a free port may be taken between the look and the start

export interface StartNatsOptions {
  readonly binary: string;
  readonly dataDir: string;
  /** Wished for; taken → the next free one. Left out → any free port. */
  readonly port?: number;
  readonly monitorPort?: number;
  readonly operator?: NatsOperator;
  readonly tls?: NatsTls;
  /** Appended to nats.conf as it is. */
  readonly extraConfig?: string;
  readonly progress?: Progress;
  readonly onUnexpectedExit?: (what: string) => void;
}

export interface RunningNats extends RunningServer {
  readonly monitorUrl: string;
  readonly configFile: string;
}

export async function startNats(options: StartNatsOptions): Promise<RunningNats> {
  const progress = options.progress ?? silent;
  const folder = await claimDataFolder(path.resolve(options.dataDir), "nats-server", progress);
  const configFile = path.join(folder.path, "nats.conf");
  const logFile = path.join(folder.path, "nats.log");
  try {
    if (options.operator) seedResolver(options.operator);
    for (let attempt = 1; ; attempt += 1) {
      const port = await pickPort(options.port ?? 0, progress);
      const monitorPort = await pickPort(options.monitorPort ?? 0, progress);
      writeFileSync(configFile, configText(options, folder.path, port, monitorPort));
      const run = new ServerRun({
        name: "nats-server",
        binary: options.binary,
        args: ["-c", configFile],
        logFile,
        folder,
        startTimeoutMs,
        isHealthy: () => isHealthy(monitorPort),
        ...(options.onUnexpectedExit && { onUnexpectedExit: options.onUnexpectedExit }),
      });
      try {
        await run.start();
        return running(run, { port, monitorPort, configFile, logFile, scheme: options.tls ? "tls" : "nats" });
      } catch (error) {
        if (!(error instanceof StartFailed && error.portTaken) || attempt === portAttemptsMax) throw error;
      }
    }
  } catch (error) {
    folder.release();
    throw error;
  }
}

function configText(options: StartNatsOptions, folder: string, port: number, monitorPort: number): string {
  return writeNatsConfig({
    serverName: "outcry",
    port,
    monitorPort,
    storeDir: path.join(folder, "jetstream"),
    operator: options.operator,
    tls: options.tls,
    extraConfig: options.extraConfig,
  });
}

/**
 * Puts each account's JWT into the resolver's directory, only where it has none: what stands there may have been pushed
 * later and hold revocations. (`resolver_preload` keeps a newer one too, but "newer" has whole seconds.)
 */
function seedResolver(operator: NatsOperator): void {
  mkdirSync(operator.dirPath, { recursive: true, mode: 0o700 });
  for (const account of operator.accounts) {
    const file = path.join(operator.dirPath, `${account.publicKey}.jwt`);
    if (statSync(file, { throwIfNoEntry: false })) continue;
    writeFileSync(`${file}.new`, account.jwt, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
}

function isHealthy(monitorPort: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(
      { host: "127.0.0.1", port: monitorPort, path: "/healthz", agent: false, timeout: 1000 },
      (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      },
    );
    request.once("timeout", () => request.destroy());
    request.once("error", () => resolve(false));
  });
}

interface Place {
  readonly port: number;
  readonly monitorPort: number;
  readonly configFile: string;
  readonly logFile: string;
  readonly scheme: string;
}

function running(run: ServerRun, place: Place): RunningNats {
  return {
    url: `${place.scheme}://127.0.0.1:${place.port}`,
    port: place.port,
    monitorUrl: `http://127.0.0.1:${place.monitorPort}`,
    configFile: place.configFile,
    logFile: place.logFile,
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

// The services as processes of their own, on real servers, for tests that kill them. Every process is ended by its pid.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Brokers, startBrokers } from "@outcry/dev";
import { systemClock } from "@outcry/protocol";
import { pickPort } from "@outcry/servers";

export type ServiceName = "broadcast" | "intake" | "gateway";

export interface ServiceProcess {
  readonly url: string;
  /** What it wrote, newest last. */
  readonly output: readonly string[];
  readonly pid: number;
  kill9(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  terminate(): Promise<number | null>;
  /** SIGSTOP: it stands still, its connections stay open. */
  pause(): void;
  resume(): void;
  /** Same port, same configuration. */
  start(): Promise<void>;
}

export interface ProcessStack {
  readonly dataDir: string;
  readonly brokers: Brokers;
  /** Base URL of the HTTP API. */
  readonly url: string;
  readonly adminKey: string;
  has(name: ServiceName, index: number): boolean;
  service(name: ServiceName, index?: number): ServiceProcess;
  stop(): Promise<void>;
}

export interface ProcessOptions {
  services?: Partial<Record<ServiceName, number>>;
  env?: Record<string, string>;
}

/** Servers named by OUTCRY_NATS_SERVER and OUTCRY_REDIS_SERVER, as test/run.mjs sets them. */
export async function startTestBrokers(dataDir: string): Promise<Brokers> {
  return startBrokers({
    dataDir,
    natsPort: 0,
    redisPort: 0,
    servers: {
      natsServer: { path: process.env["OUTCRY_NATS_SERVER"] ?? "nats-server", version: "", source: "" },
      redisServer: { path: process.env["OUTCRY_REDIS_SERVER"] ?? "redis-server", version: "", source: "" },
    },
    progress: () => undefined,
    clock: systemClock,
    onUnexpectedExit: () => undefined,
  });
}

export const newDataDir = (): string => mkdtempSync(path.join(tmpdir(), "outcry-test-"));

export async function startProcesses(options: ProcessOptions = {}): Promise<ProcessStack> {
  const dataDir = newDataDir();
  const brokers = await startTestBrokers(dataDir);
  const env = {
    ...withoutOutcry(process.env),
    OUTCRY_DATA_DIR: dataDir,
    OUTCRY_NATS_URL: brokers.nats.url,
    OUTCRY_REDIS_URL: brokers.redis.url,
    OUTCRY_NATS_AUTH_DIR: brokers.authDir,
    OUTCRY_CURSOR_SECRET: "test-cursor-secret-of-enough-length",
    OUTCRY_LOG_LEVEL: "info",
    ...options.env,
  };
  const started = new Map<string, Child>();
  for (const [name, count] of Object.entries({ broadcast: 1, intake: 1, ...options.services })) {
    for (let index = 0; index < count; index++) {
      const child = new Child(name as ServiceName, { ...env, OUTCRY_PORT: String(await pickPort(0)) });
      await child.start();
      started.set(`${name}-${index}`, child);
    }
  }
  const first = started.get("broadcast-0")!;
  return {
    dataDir,
    brokers,
    url: first.url,
    adminKey: /Admin key [^:]*: (\S+)/.exec(first.output.join("\n"))?.[1] ?? "",
    has: (name, index) => started.has(`${name}-${index}`),
    service(name, index = 0) {
      const child = started.get(`${name}-${index}`);
      if (child === undefined) throw new Error(`${name} ${index} was not started`);
      return child;
    },
    async stop() {
      await Promise.all([...started.values()].map((child) => child.kill9()));
      await brokers.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

class Child implements ServiceProcess {
  readonly url: string;
  readonly output: string[] = [];
  readonly #name: ServiceName;
  readonly #env: Record<string, string | undefined>;
  #child: ChildProcess | undefined;

  constructor(name: ServiceName, env: Record<string, string | undefined>) {
    this.#name = name;
    this.#env = env;
    this.url = `http://127.0.0.1:${env["OUTCRY_PORT"]}`;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async start(): Promise<void> {
    const main = path.join(path.dirname(createRequire(import.meta.url).resolve(`@outcry/${this.#name}`)), "main.js");
    const child = spawn(process.execPath, [main], { env: this.#env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => {
        this.output.push(...text.split("\n").filter((line) => line !== ""));
        if (this.output.length > 5_000) this.output.splice(0, 1_000);
      });
    }
    await this.#answering();
  }

  async #answering(): Promise<void> {
    const until = Date.now() + 30_000;
    while (Date.now() < until) {
      if (this.#child?.exitCode !== null) break;
      const ready = await fetch(`${this.url}/livez`).then(
        (answer) => answer.ok,
        () => false, // not listening yet
      );
      if (ready) return;
      await sleep(50);
    }
    throw new Error(`${this.#name} does not answer at ${this.url}\n${this.output.slice(-20).join("\n")}`);
  }

  kill9(): Promise<void> {
    return this.#end("SIGKILL").then(() => undefined);
  }

  terminate(): Promise<number | null> {
    return this.#end("SIGTERM");
  }

  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  #end(signal: "SIGKILL" | "SIGTERM"): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null)
      return Promise.resolve(child?.exitCode ?? null);
    return new Promise((resolve) => {
      child.once("exit", (code) => resolve(code));
      child.kill(signal);
    });
  }
}

function withoutOutcry(env: NodeJS.ProcessEnv): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !name.startsWith("OUTCRY_") && name !== "NODE_OPTIONS"),
  );
}

// One of our services as a process of its own, with what it wrote. Ended by its pid, and never left behind by an orderly parent.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pickPort } from "@outcry/servers";

const READY_MS = 30_000;
const OUTPUT_LINES_MAX = 2_000;
const MAINS = {
  broadcast: ["@outcry/broadcast", "main.js"],
  intake: ["@outcry/intake", "main.js"],
  gateway: ["@outcry/gateway", "main.js"],
  tap: ["@outcry/gateway", "tap-main.js"],
} as const;

export type ServiceName = keyof typeof MAINS;

export class ServiceProcess {
  readonly name: ServiceName;
  readonly url: string;
  /** What it wrote, newest last. */
  readonly output: string[] = [];
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | undefined;

  private constructor(name: ServiceName, port: number, env: Readonly<Record<string, string>>) {
    this.name = name;
    this.url = `http://127.0.0.1:${port}`;
    this.#env = { PATH: process.env["PATH"], ...env, OUTCRY_PORT: String(port) };
  }

  /** Resolves when it is ready. */
  static async start(name: ServiceName, env: Readonly<Record<string, string>>): Promise<ServiceProcess> {
    const service = new ServiceProcess(name, await pickPort(0), env);
    await service.start();
    return service;
  }

  /** Again, on the same port. */
  async start(): Promise<void> {
    const [module, main] = MAINS[this.name];
    const file = path.join(path.dirname(createRequire(import.meta.url).resolve(module)), main);
    const child = spawn(process.execPath, [file], { env: this.#env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => {
        this.output.push(...text.split("\n").filter((line) => line !== ""));
        this.output.splice(0, this.output.length - OUTPUT_LINES_MAX);
      });
    }
    const until = Date.now() + READY_MS;
    while (!(await this.isReady())) {
      if (child.exitCode !== null || Date.now() > until)
        throw new Error(`${this.name} does not get ready at ${this.url}\n${this.output.slice(-20).join("\n")}`);
      await sleep(50);
    }
  }

  /** As a load balancer asks. */
  async isReady(): Promise<boolean> {
    const answer = await fetch(`${this.url}/readyz`).catch(() => undefined); // not listening yet, or no more
    return answer?.status === 200;
  }

  kill9(): Promise<void> {
    return this.#end("SIGKILL");
  }

  stop(): Promise<void> {
    return this.#end("SIGTERM");
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }
}

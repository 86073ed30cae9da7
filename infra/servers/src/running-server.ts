// A server that runs as our child: start until it answers, stop in order, and the rough handling that tests need.
// What it is (NATS or Redis) comes in as a recipe; this file knows neither.

import { closeSync, openSync, readSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { DataFolder } from "./data-folder.js";
import { type GuardedChild, startGuarded } from "./guarded-child.js";

const politeStopMs = 10_000; // both servers flush and end well within this; every write is already on disk
const healthPollMs = 5; // both servers are up in about 15 ms: tests start hundreds of them
const logTailBytes = 2000;

export interface Recipe {
  readonly name: string;
  readonly binary: string;
  readonly args: readonly string[];
  readonly logFile: string;
  readonly folder: DataFolder;
  readonly startTimeoutMs: number;
  isHealthy(): Promise<boolean>;
  /** Called when it ends although nobody asked it to. */
  onUnexpectedExit?(this: void, what: string): void;
}

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly logFile: string;
  /** Orderly: flushes, ends, frees the data folder. May be called twice. */
  stop(): Promise<void>;
  kill9(): Promise<void>;
  pause(): void;
  resume(): void;
  /** Same port, same data; also after kill9. */
  restart(): Promise<void>;
}

export class ServerRun {
  private child: GuardedChild | undefined;
  private endingOnPurpose = false;

  private readonly recipe: Recipe;

  constructor(recipe: Recipe) {
    this.recipe = recipe;
  }

  get pid(): number {
    if (!this.child) throw new Error(`${this.recipe.name} is not running`);
    return this.child.pid;
  }

  async start(): Promise<void> {
    const { recipe } = this;
    const logStart = sizeOf(recipe.logFile);
    this.endingOnPurpose = false;
    const child = await startGuarded(recipe.binary, recipe.args, recipe.folder.path, recipe.logFile);
    this.child = child;
    recipe.folder.recordServer(child.pid);
    await this.waitHealthy(child, logStart);
    void child.exited.then(({ code }) => {
      if (!this.endingOnPurpose)
        recipe.onUnexpectedExit?.(`${recipe.name} (pid ${child.pid}) ended with ${code}; its log is ${recipe.logFile}`);
    });
  }

  async stop(): Promise<void> {
    await this.end();
    this.recipe.folder.release();
  }

  async kill9(): Promise<void> {
    if (!this.child || this.child.hasExited()) return;
    this.endingOnPurpose = true;
    signal(this.child, "SIGKILL");
    await this.child.exited;
  }

  pause(): void {
    if (this.child) signal(this.child, "SIGSTOP");
  }

  resume(): void {
    if (this.child) signal(this.child, "SIGCONT");
  }

  async restart(): Promise<void> {
    await this.end();
    await this.start();
  }

  private async end(): Promise<void> {
    const { child } = this;
    if (!child || child.hasExited()) return;
    this.endingOnPurpose = true;
    signal(child, "SIGTERM");
    signal(child, "SIGCONT"); // a paused server would never see the first
    const firmly = setTimeout(() => signal(child, "SIGKILL"), politeStopMs);
    await child.exited;
    clearTimeout(firmly);
  }

  private async waitHealthy(child: GuardedChild, logStart: number): Promise<void> {
    const { recipe } = this;
    const deadline = Date.now() + recipe.startTimeoutMs;
    while (!child.hasExited() && Date.now() < deadline) {
      if ((await recipe.isHealthy()) && !child.hasExited()) return;
      await sleep(healthPollMs);
    }
    const why = child.hasExited()
      ? `ended with ${(await child.exited).code}`
      : `did not answer within ${recipe.startTimeoutMs / 1000} s`;
    await this.end();
    const said = readTail(recipe.logFile, logStart);
    throw new StartFailed(
      `${recipe.name} ${why}. It said:\n${said || "(nothing)"}`,
      /address already in use/i.test(said),
    );
  }
}

export class StartFailed extends Error {
  override readonly name = "StartFailed";
  readonly portTaken: boolean;

  constructor(message: string, portTaken: boolean) {
    super(message);
    this.portTaken = portTaken;
  }
}

function signal(child: GuardedChild, name: NodeJS.Signals): void {
  if (child.hasExited()) return;
  try {
    process.kill(child.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function readTail(file: string, from: number): string {
  const start = Math.max(from, sizeOf(file) - logTailBytes);
  const bytes = Buffer.alloc(Math.max(0, sizeOf(file) - start));
  const handle = openSync(file, "r");
  try {
    const length = readSync(handle, bytes, 0, bytes.length, start);
    return bytes.subarray(0, length).toString("utf8").trim();
  } finally {
    closeSync(handle);
  }
}

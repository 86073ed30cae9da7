// `outcry …` as a test runs it: in this process, against a stack with everything in it.

import { rmSync } from "node:fs";
import path from "node:path";
import { runCommand } from "@outcry/cli";
import { type Client, createClient } from "@outcry/client";
import { startStack, type Stack } from "@outcry/dev";
import { createNode, type IntentHandler, type SellerNode } from "@outcry/node";
import WebSocket from "ws";
import { newDataDir } from "./processes.js";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** Of --json: each line's value. */
  readonly lines: () => Record<string, unknown>[];
}

export interface RunOptions {
  readonly key?: string;
  readonly input?: string;
  readonly env?: Record<string, string>;
  readonly signal?: AbortSignal;
}

/** A stack on free ports, and commands against it. */
export class CliWorld {
  readonly dataDir: string;
  readonly stack: Stack;
  readonly admin: Client;
  readonly #sellers: SellerNode[] = [];

  private constructor(dataDir: string, stack: Stack) {
    this.dataDir = dataDir;
    this.stack = stack;
    this.admin = createClient({ url: stack.url, apiKey: stack.adminKey!, WebSocket });
  }

  static async start(moreEnv: Record<string, string> = {}): Promise<CliWorld> {
    const dataDir = newDataDir();
    const server = (name: string, fallback: string) => ({
      path: process.env[name] ?? fallback,
      version: "",
      source: "",
    });
    const stack = await startStack({
      dataDir,
      ports: { http: 0, nats: 0, redis: 0 },
      env: { OUTCRY_LOG_LEVEL: "error", OUTCRY_WEBHOOK_ALLOW_PRIVATE: "true", ...moreEnv },
      find: async () => ({
        natsServer: server("OUTCRY_NATS_SERVER", "nats-server"),
        redisServer: server("OUTCRY_REDIS_SERVER", "redis-server"),
      }),
      progress: () => undefined,
    });
    return new CliWorld(dataDir, stack);
  }

  async seller(name: string, onIntent: IntentHandler): Promise<string> {
    const { invite } = await this.admin.createInvite({ name });
    const node = createNode({
      url: this.stack.url,
      stateDir: path.join(this.dataDir, "nodes", name),
      invite,
      registration: { name, categories: ["apparel"], regions: ["DE"] },
    }).onIntent(onIntent);
    this.#sellers.push(node);
    return (await node.start()).nodeId;
  }

  async outcry(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    let [out, err] = ["", ""];
    const code = await runCommand(args, {
      env: { OUTCRY_URL: this.stack.url, OUTCRY_API_KEY: options.key ?? this.stack.adminKey!, ...options.env },
      out: (text) => void (out += text),
      err: (text) => void (err += text),
      readInput: () => Promise.resolve(options.input ?? ""),
      signal: options.signal ?? new AbortController().signal,
    });
    const lines = () =>
      out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    return { code, out, err, lines };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sellers.map((node) => node.drain({ timeoutMs: 500 })));
    await this.stack.stop();
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

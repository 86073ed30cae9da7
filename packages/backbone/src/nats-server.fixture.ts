// A real nats-server of one's own for a test: free port, own directory, killed and started again at will.

import { silentLog, systemClock } from "@outcry/protocol";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolverConfig } from "./auth.js";
import type { AuthTree } from "./auth.js";
import { connectBackbone } from "./connect.js";
import type { Backbone } from "./connect.js";
import type { ConnectOptions } from "./dial.js";

const START_TIMEOUT_MS = 10_000;

export interface TestServer {
  readonly url: string;
  readonly monitoringUrl: string;
  readonly pid: number;
  connect(options?: Partial<ConnectOptions>): Promise<Backbone>;
  kill(): Promise<void>;
  start(): Promise<void>;
  pause(): void;
  resume(): void;
  /** Closes every connection made here, ends the server, removes its directory. */
  stop(): Promise<void>;
}

export async function startNats(
  options: { tree?: AuthTree; config?: string; syncAlways?: boolean } = {},
): Promise<TestServer> {
  const binary = process.env.OUTCRY_NATS_SERVER;
  if (binary === undefined) throw new Error("OUTCRY_NATS_SERVER must name a nats-server binary: `npm test` sets it");
  const directory = mkdtempSync(join(tmpdir(), "outcry-nats-"));
  const [port, httpPort] = [await freePort(), await freePort()];
  const file = join(directory, "nats.conf");
  const sync = options.syncAlways === false ? "" : ", sync_interval: always";
  writeFileSync(
    file,
    [
      `listen: 127.0.0.1:${port}`,
      `http: 127.0.0.1:${httpPort}`,
      `jetstream { store_dir: ${JSON.stringify(join(directory, "js"))}${sync}, max_file_store: 16GB }`,
      options.tree === undefined ? "" : resolverConfig(options.tree, join(directory, "jwt")),
      options.config ?? "",
    ].join("\n"),
  );
  let child: ChildProcess | undefined;
  const connections: Backbone[] = [];
  const url = `nats://127.0.0.1:${port}`;
  const monitoringUrl = `http://127.0.0.1:${httpPort}`;
  const kill = async () => {
    const dying = child;
    child = undefined;
    if (dying === undefined || dying.exitCode !== null) return;
    const gone = new Promise((resolve) => dying.once("exit", resolve));
    dying.kill("SIGKILL");
    await gone;
  };
  const start = async () => {
    child = spawn(binary, ["-c", file], { stdio: "ignore" });
    await healthy(monitoringUrl);
  };
  await start();
  return {
    url,
    monitoringUrl,
    get pid() {
      return child?.pid ?? 0;
    },
    async connect(more = {}) {
      const backbone = await connectBackbone({
        servers: [url],
        name: "test",
        inboxPrefix: "_INBOX_svc",
        log: silentLog,
        clock: systemClock,
        ...more,
      });
      connections.push(backbone);
      return backbone;
    },
    kill,
    start,
    pause: () => void child?.kill("SIGSTOP"),
    resume: () => void child?.kill("SIGCONT"),
    async stop() {
      child?.kill("SIGCONT");
      await Promise.all(connections.map((backbone) => backbone.close()));
      await kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function healthy(monitoringUrl: string): Promise<void> {
  const until = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const answer = await fetch(`${monitoringUrl}/healthz`).catch(() => undefined);
    if (answer?.ok === true) return;
    if (Date.now() > until) throw new Error("nats-server did not become healthy");
    await sleep(10);
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `condition` holds, at most `withinMs`. */
export async function eventually(condition: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const until = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > until) throw new Error("it did not come true in time");
    await sleep(5);
  }
}

export const bytes = (text: string): Uint8Array => Buffer.from(text);
export const text = (data: Uint8Array): string => Buffer.from(data).toString();

/** A stream with the settings that appends and reads need. */
export async function makeStream(
  backbone: Backbone,
  name: string,
  subjects: string[],
  more: object = {},
): Promise<void> {
  const config = {
    name,
    subjects,
    storage: "file",
    discard: "new",
    max_bytes: 1e9,
    allow_direct: true,
    allow_atomic: true,
    ...more,
  };
  const reply = await backbone.request(`$JS.API.STREAM.CREATE.${name}`, bytes(JSON.stringify(config)));
  const answer = JSON.parse(text(reply.data)) as { error?: { description: string } };
  if (answer.error !== undefined) throw new Error(answer.error.description);
}

// A real nats-server of one's own for a test; the binary comes from OUTCRY_NATS_SERVER.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect as dial, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export interface TestNats {
  readonly url: string;
  start(): Promise<void>;
  /** kill -9. */
  kill(): Promise<void>;
  remove(): Promise<void>;
}

export async function startTestNats(config = ""): Promise<TestNats> {
  const binary = process.env["OUTCRY_NATS_SERVER"] ?? "nats-server";
  const dir = await mkdtemp(join(tmpdir(), "outcry-node-"));
  const port = await freePort();
  const file = join(dir, "nats.conf");
  await writeFile(file, `listen: 127.0.0.1:${port}\n${config}\n`);
  let child: ChildProcess | undefined;
  const nats: TestNats = {
    url: `nats://127.0.0.1:${port}`,
    async start() {
      child = spawn(binary, ["-c", file], { stdio: "ignore" });
      await listening(port, child);
    },
    async kill() {
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
    async remove() {
      await nats.kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
  await nats.start();
  return nats;
}

async function listening(port: number, child: ChildProcess): Promise<void> {
  for (let left = 250; left > 0; left--) {
    if (child.exitCode !== null) throw new Error("nats-server ended at once; OUTCRY_NATS_SERVER must name the binary");
    if (await answers(port)) return;
    await sleep(20);
  }
  throw new Error("nats-server does not listen");
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = dial(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Polls until the check holds. */
export async function eventually(check: () => boolean | Promise<boolean>, withinMs = 8_000): Promise<void> {
  const until = Date.now() + withinMs;
  while (!(await check())) {
    if (Date.now() > until) throw new Error("did not come true in time");
    await sleep(10);
  }
}

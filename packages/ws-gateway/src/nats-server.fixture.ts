// A real nats-server of one's own for a test, with the EVENTS stream as in production; the binary comes from OUTCRY_NATS_SERVER.

import { type Backbone, connectBackbone } from "@outcry/backbone";
import { EVENT_SUBJECTS, livePrefix, silentLog, systemClock } from "@outcry/protocol";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const NS_PER_MS = 1_000_000;

export interface TestNats {
  readonly url: string;
  connect(): Promise<Backbone>;
  /** kill -9; data stays. */
  kill(): Promise<void>;
  start(): Promise<void>;
  remove(): Promise<void>;
}

export async function startTestNats(): Promise<TestNats> {
  const binary = process.env["OUTCRY_NATS_SERVER"] ?? "nats-server";
  const dir = await mkdtemp(join(tmpdir(), "outcry-gateway-"));
  const [port, monitorPort] = [await freePort(), await freePort()];
  const file = join(dir, "nats.conf");
  const store = JSON.stringify(join(dir, "js"));
  await writeFile(
    file,
    `listen: 127.0.0.1:${port}\nhttp: 127.0.0.1:${monitorPort}\njetstream { store_dir: ${store}, sync_interval: always, max_file_store: 8GB }\n`,
  );
  const connections: Backbone[] = [];
  let child: ChildProcess | undefined;
  const nats: TestNats = {
    url: `nats://127.0.0.1:${port}`,
    async connect() {
      const options = {
        servers: [nats.url],
        name: "test",
        inboxPrefix: "_INBOX_gw",
        log: silentLog,
        clock: systemClock,
      };
      const backbone = await connectBackbone(options);
      connections.push(backbone);
      return backbone;
    },
    async kill() {
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
    async start() {
      child = spawn(binary, ["-c", file], { stdio: "ignore" });
      await eventually(
        async () => (await fetch(`http://127.0.0.1:${monitorPort}/healthz`).catch(() => undefined))?.ok === true,
      );
    },
    async remove() {
      await Promise.all(connections.map((backbone) => backbone.close()));
      await nats.kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
  await nats.start();
  return nats;
}

const REGION = "local";

export async function makeEvents(backbone: Backbone, epoch: string): Promise<void> {
  await ask(backbone, "STREAM.CREATE.EVENTS", {
    name: "EVENTS",
    subjects: [EVENT_SUBJECTS],
    storage: "file",
    discard: "new",
    max_bytes: 1_000_000_000,
    allow_direct: true,
    allow_atomic: true,
    duplicate_window: 120_000 * NS_PER_MS,
    metadata: { outcry_epoch: epoch },
    republish: { src: EVENT_SUBJECTS, dest: `${livePrefix(REGION)}.${EVENT_SUBJECTS}` },
  });
}

export const deleteEvents = (backbone: Backbone): Promise<void> => ask(backbone, "STREAM.DELETE.EVENTS");

/** Trims from the front: `seq` is then the first. */
export const purgeEvents = (backbone: Backbone, seq: number): Promise<void> =>
  ask(backbone, "STREAM.PURGE.EVENTS", { seq });

async function ask(backbone: Backbone, verb: string, body: object = {}, triesLeft = 50): Promise<void> {
  const reply = await backbone.request(`$JS.API.${verb}`, Buffer.from(JSON.stringify(body)));
  const answer = JSON.parse(Buffer.from(reply.data).toString()) as { error?: { description: string } };
  if (answer.error === undefined) return;
  // The server still moves the files of a stream of this name away.
  if (triesLeft === 0 || !answer.error.description.includes("creating store"))
    throw new Error(answer.error.description);
  await sleep(20);
  await ask(backbone, verb, body, triesLeft - 1);
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Polls until the check holds. */
export async function eventually(check: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const until = Date.now() + withinMs;
  while (!(await check())) {
    if (Date.now() > until) throw new Error(`did not come true within ${withinMs} ms: ${check.toString()}`);
    await sleep(10);
  }
}

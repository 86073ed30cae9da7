import { afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findServers, pickPort, type RunningServer, startNats, startRedis } from "./index.js";
import { processStart } from "./process-identity.js";

const repository = path.resolve(import.meta.dirname, "../../..");
const index = path.join(import.meta.dirname, "index.js");
const fetchTimeoutMs = 180_000; // only when run alone in a fresh clone; else they are in the cache
let natsBinary: string;
let redisBinary: string;
let home: string;
let started: RunningServer[];

beforeAll(async () => {
  const found = await findServers({ dataDir: path.join(repository, ".outcry"), env: process.env });
  natsBinary = found.natsServer.path;
  redisBinary = found.redisServer.path;
}, fetchTimeoutMs);

beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), "outcry servers ")); // with a space: paths are quoted everywhere
  started = [];
});

afterEach(async () => {
  for (const server of started) await server.stop();
  rmSync(home, { recursive: true, force: true });
});

async function nats(folder = "nats", port?: number) {
  const server = await startNats({
    binary: natsBinary,
    dataDir: path.join(home, folder),
    ...(port !== undefined && { port }),
  });
  started.push(server);
  return server;
}

async function redis(folder = "redis") {
  const server = await startRedis({ binary: redisBinary, dataDir: path.join(home, folder) });
  started.push(server);
  return server;
}

/** Says one line, gives the first answer. */
function ask(port: number, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(`${line}\r\n`));
    socket.once("data", (bytes) => {
      socket.destroy();
      resolve(bytes.toString());
    });
    socket.once("error", reject);
  });
}

async function gone(pids: readonly number[], withinMs: number): Promise<boolean> {
  const deadline = Date.now() + withinMs;
  while (Date.now() < deadline) {
    if (pids.every((pid) => processStart(pid) === undefined)) return true;
    await sleep(20);
  }
  return false;
}

describe("redis-server", () => {
  test("runs with AOF always, without snapshots and without eviction", async () => {
    const server = await redis();
    for (const [name, value] of [
      ["appendonly", "yes"],
      ["appendfsync", "always"],
      ["save", ""],
      ["maxmemory-policy", "noeviction"],
    ] as const) {
      expect(await ask(server.port, `CONFIG GET ${name}`)).toContain(`${name}\r\n$${value.length}\r\n${value}\r\n`);
    }
  });

  test("keeps its data and its port over a restart and over kill -9", async () => {
    const server = await redis();
    const { port } = server;
    await ask(port, "SET stays here");
    await server.restart();
    expect(await ask(port, "GET stays")).toContain("here");
    await ask(port, "SET also there");
    const before = server.pid;
    await server.kill9();
    await server.restart();
    expect(server.pid).not.toBe(before);
    expect(await ask(port, "GET also")).toContain("there");
  });

  test("answers nothing while paused, and again when resumed", async () => {
    const server = await redis();
    server.pause();
    const answer = ask(server.port, "PING");
    const first = await Promise.race([answer, sleep(200).then(() => "silence")]);
    server.resume();
    expect([first, await answer]).toEqual(["silence", "+PONG\r\n"]);
  });

  test("that is paused still stops in order", async () => {
    const server = await redis();
    const { pid } = server;
    server.pause();
    await server.stop();
    expect(processStart(pid)).toBeUndefined();
  });
});

describe("nats-server", () => {
  test("runs JetStream with every write synced", async () => {
    const server = await nats();
    const response = await fetch(`${server.monitorUrl}/varz`);
    const varz = (await response.json()) as { jetstream: { config: { sync_always: boolean } }; max_pending: number };
    expect(varz.jetstream.config.sync_always).toBe(true);
    expect(varz.max_pending).toBe(64 * 1024 * 1024);
    expect(await ask(server.port, "PING")).toContain('"max_payload":1048576');
  });

  test("tells what it said when it cannot start", async () => {
    const failed = startNats({
      binary: natsBinary,
      dataDir: path.join(home, "bad"),
      extraConfig: "no_such_setting: 1",
    });
    await expect(failed).rejects.toThrow(/no_such_setting/);
    expect(readFileSync(path.join(home, "bad", "nats.log"), "utf8")).toContain("no_such_setting");
    await expect(nats("bad")).resolves.toBeDefined(); // the failed start left the folder free
  });

  test("that ends by itself is reported with its log", async () => {
    const reports: string[] = [];
    const server = await startNats({
      binary: natsBinary,
      dataDir: path.join(home, "n"),
      onUnexpectedExit: (what) => reports.push(what),
    });
    started.push(server);
    process.kill(server.pid, "SIGKILL");
    while (reports.length === 0) await sleep(10);
    expect(reports[0]).toContain("ended with 137");
    await server.restart();
    await server.stop();
    expect(reports).toHaveLength(1);
  });
});

describe("a wished-for port that is taken", () => {
  test("is named with its holder, and the next free one is used", async () => {
    const taken = await pickPort(0);
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(taken, "127.0.0.1", resolve));
    const said: string[] = [];
    try {
      const port = await pickPort(taken, (line) => said.push(line));
      expect(port).toBeGreaterThan(taken);
      expect(said).toEqual([expect.stringContaining(`port ${taken} is taken by `)]);
      expect(said[0]).toContain(`(pid ${process.pid}); using ${port}`);
      expect((await nats("nats", taken)).port).toBeGreaterThan(taken);
    } finally {
      await new Promise((resolve) => holder.close(resolve));
    }
  });
});

describe("servers and the process that started them", () => {
  let parent: ChildProcess | undefined;

  afterEach(() => void parent?.kill("SIGKILL"));

  /** A process of its own that starts both servers, prints their ids and then only lives. */
  async function startParent(): Promise<{ parent: ChildProcess; pids: number[] }> {
    const script = `
      const { startNats, startRedis } = await import(${JSON.stringify(index)});
      const nats = await startNats({ binary: ${JSON.stringify(natsBinary)}, dataDir: ${JSON.stringify(path.join(home, "nats"))} });
      const redis = await startRedis({ binary: ${JSON.stringify(redisBinary)}, dataDir: ${JSON.stringify(path.join(home, "redis"))} });
      console.log(JSON.stringify([nats.pid, redis.pid]));
      setInterval(() => undefined, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    parent = child;
    const line = await new Promise<string>((resolve) => child.stdout.setEncoding("utf8").once("data", resolve));
    return { parent: child, pids: JSON.parse(line) as number[] };
  }

  test.each(["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "are gone within 2 s when it ends by %s, and their data opens again",
    async (signal) => {
      const { parent: child, pids } = await startParent();
      child.kill(signal);
      expect(await gone(pids, 2000)).toBe(true);
      expect(readFileSync(path.join(home, "nats", "nats.log"), "utf8")).toContain("Server Exiting");
      expect(readFileSync(path.join(home, "redis", "redis.log"), "utf8")).toContain("bye bye");
      await nats();
      await redis();
    },
  );

  test("end in order too when they were paused as it died", async () => {
    const { parent: child, pids } = await startParent();
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    child.kill("SIGKILL");
    expect(await gone(pids, 2000)).toBe(true);
  });

  test("are not reached by the terminal's Ctrl-C: they have a session of their own", async () => {
    const { pids } = await startParent();
    for (const pid of pids) {
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      const session = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[3]);
      const own = readFileSync("/proc/self/stat", "latin1").split(" ").at(5);
      expect(session).not.toBe(Number(own));
    }
  });

  test("keep a second process off their data folder while it lives", async () => {
    const { parent: child } = await startParent();
    await expect(nats()).rejects.toThrow(`is in use by process ${child.pid}`);
    await expect(redis()).rejects.toThrow(`is in use by process ${child.pid}`);
  });
});

import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { findChromium, findServers, ServersNotFound } from "./find-servers.js";
import { natsFromUpstream } from "./upstream-release.js";

let home: string;
let dataDir: string;
let said: string[];

beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), "outcry-find-"));
  dataDir = path.join(home, ".outcry");
  said = [];
});

afterEach(() => rmSync(home, { recursive: true, force: true }));

/** A program that only tells a version, which is all that finding asks of one. */
function program(file: string, line: string): string {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\necho "${line}"\n`, { mode: 0o755 });
  return file;
}

/** No packages (an unknown distribution) and no release: only what the test itself put down can be found. */
function find(env: Record<string, string>) {
  return findServers({
    dataDir,
    env,
    progress: (line) => said.push(line),
    systemFolders: [],
    etc: home,
    upstreamUrl: "http://127.0.0.1:9",
  });
}

describe("finding a server", () => {
  test("takes its own variable before PATH", async () => {
    program(path.join(home, "bin/nats-server"), "nats-server: v2.15.1");
    program(path.join(home, "bin/redis-server"), "Redis server v=7.0.15");
    const own = program(path.join(home, "own-nats"), "nats-server: v2.14.5");
    const found = await find({ PATH: path.join(home, "bin"), OUTCRY_NATS_SERVER: own });
    expect(found.natsServer).toEqual({ path: own, version: "2.14.5", source: "OUTCRY_NATS_SERVER" });
    expect(found.redisServer).toEqual({ path: path.join(home, "bin/redis-server"), version: "7.0.15", source: "PATH" });
    expect(said).toContain("nats-server: 2.14.5 from OUTCRY_NATS_SERVER");
  });

  test("passes over one on PATH that is too old and takes the newest of the cache", async () => {
    program(path.join(home, "bin/nats-server"), "nats-server: v2.9.10");
    program(path.join(home, "bin/redis-server"), "Redis server v=7.0.15");
    program(path.join(dataDir, "bin/nats-server-2.9.9/nats-server"), "nats-server: v2.14.1");
    program(path.join(dataDir, "bin/nats-server-2.15.1/nats-server"), "nats-server: v2.15.1");
    const found = await find({ PATH: path.join(home, "bin") });
    expect(found.natsServer.version).toBe("2.15.1");
    expect(found.natsServer.source).toContain("cache");
  });

  test("finds a browser under any of its names, and says what to do when there is none", async () => {
    program(path.join(home, "old/chromium-headless-shell"), "Chromium 90.0.4430.212");
    const usual = program(path.join(home, "bin/chromium"), "Chromium 156.0.8078.108 built on Debian");
    const options = { dataDir, systemFolders: [], etc: home };
    const found = await findChromium({ ...options, env: { PATH: `${home}/old:${home}/bin` } });
    expect(found).toEqual({ path: usual, version: "156.0.8078", source: "PATH" });
    const error = await findChromium({ ...options, env: { PATH: `${home}/old` } }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ServersNotFound);
    expect((error as Error).message).toContain("is 90.0.4430, needed is 120 and newer");
    expect((error as Error).message).toMatch(/set OUTCRY_CHROMIUM to its file$/);
  });

  test("removes what a killed fetch left, but not what a living one is fetching", async () => {
    program(path.join(home, "bin/nats-server"), "nats-server: v2.15.1");
    program(path.join(home, "bin/redis-server"), "Redis server v=7.0.15");
    const dead = path.join(dataDir, "bin/.fetching-999999999-x-nats-server");
    const living = path.join(dataDir, `bin/.fetching-${process.pid}-x-nats-server`);
    for (const folder of [dead, living]) mkdirSync(folder, { recursive: true });
    await find({ PATH: path.join(home, "bin") });
    expect([existsSync(dead), existsSync(living)]).toEqual([false, true]);
  });

  test("lists everything that was tried, and what to do, when there is none", async () => {
    const old = program(path.join(home, "old-nats"), "nats-server: v2.10.27");
    const error = await find({ PATH: home, OUTCRY_NATS_SERVER: old }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ServersNotFound);
    const { message } = error as Error;
    expect(message).toContain(`OUTCRY_NATS_SERVER: ${old} is 2.10.27, needed is 2.12.7`);
    expect(message).toContain("PATH: none there");
    expect(message).toMatch(/the cache .*: empty/);
    expect(message).toContain("the distribution's packages: ");
    expect(message).toContain("the upstream release: ");
    expect(message).toContain("set OUTCRY_NATS_SERVER to its file");
    expect(message).toContain("redis-server was not found");
    expect(readdirSync(path.join(dataDir, "bin"))).toEqual([]);
  });

  test("answers a Mac with the brew line", async () => {
    const error = await findServers({ dataDir, env: { PATH: home }, systemFolders: [], platform: "darwin" }).catch(
      (caught: unknown) => caught,
    );
    expect((error as Error).message).toContain("brew install nats-server");
    expect((error as Error).message).toContain("brew install redis");
  });
});

describe("the upstream release", () => {
  let server: Server;
  let baseUrl: string;

  beforeEach(async () => {
    server = createServer((_, response) => response.end("not the release"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterEach(() => new Promise((resolve) => server.close(resolve)));

  test("is refused when its digest is not the pinned one", async () => {
    const fetched = natsFromUpstream({
      into: home,
      progress: () => undefined,
      platform: "linux",
      architecture: "x64",
      baseUrl,
    });
    await expect(fetched).rejects.toThrow(/SHA-256 is [0-9a-f]{64}, pinned is 5e3b603d/);
    expect(readdirSync(home)).toEqual([]);
  });
});

// npm start as a new user meets it: the sample intent told stage by stage, data kept over starts, a taken port, Ctrl-C.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { newDataDir } from "./processes.js";
import { repository } from "./workspaces.js";

const START = path.join(repository, "infra", "dev", "dist", "start.js");

let dataDir: string;

beforeAll(() => {
  dataDir = newDataDir();
});

afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

function start(...options: string[]): { child: ChildProcess; output: () => string } {
  const { OUTCRY_NATS_SERVER, OUTCRY_REDIS_SERVER, PATH, HOME } = process.env;
  // Twice the usual patience: on a busy machine the late seller would be given up before it has come.
  const env = {
    OUTCRY_ACK_TIMEOUT_MS: "2000",
    OUTCRY_NATS_SERVER,
    OUTCRY_REDIS_SERVER,
    PATH,
    HOME,
    OUTCRY_DATA_DIR: dataDir,
  };
  const child = spawn(process.execPath, [START, ...options], { env, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (more: string) => (text += more));
  return { child, output: () => text };
}

const ended = async (child: ChildProcess): Promise<unknown> =>
  child.exitCode ?? child.signalCode ?? ((await once(child, "exit")) as [number | null, string | null]);

/** Command lines of processes that work on this data folder. */
function stillRunning(): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
        return line.includes(dataDir) ? [line] : [];
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return []; // it ended while we looked
        throw error;
      }
    });
}

test("--once shows one intent's life, every kind of outcome, ranked quotes and URLs, and ends with 0", async () => {
  const { child, output } = start("--once");
  expect(await ended(child)).toEqual([0, null]);
  const said = output();
  for (const stage of ["INTENT_CREATED", "INTENT_BROADCASTED", "NODE_RESPONDED", "QUOTE_RECEIVED"]) {
    expect(said).toMatch(new RegExp(`\\d+ ms {2}${stage}`));
  }
  expect(said).toMatch(/quoted {5}1/);
  expect(said).toMatch(/declined {3}1/);
  expect(said).toMatch(/quoted {5}[23], retried/);
  expect(said).toMatch(/dead {7}3/);
  expect(said).toMatch(/1\. +\d+\.\d\d EUR/);
  expect(said).toMatch(/Admin key, shown once: ock_/);
  expect(said).toMatch(/API +http:\/\/127\.0\.0\.1:\d+\/v1/);
  expect(stillRunning()).toEqual([]);
});

test("a second start keeps its data, names a taken port and takes the next, and Ctrl-C leaves nothing running", async () => {
  const squatter = createServer().listen(7070, "127.0.0.1");
  await once(squatter, "listening").catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EADDRINUSE") throw error; // somebody has it already: as good
  });
  const { child, output } = start();
  try {
    const until = Date.now() + 40_000;
    while (!output().includes("Ctrl-C ends it.") && Date.now() < until)
      await new Promise((later) => setTimeout(later, 100));
    const said = output();
    expect(said).toMatch(/7070 is taken/);
    expect(said).not.toContain("shown once");
    const url = /API +(http:\S+)\/v1/.exec(said)![1]!;
    expect(new URL(url).port).not.toBe("7070");

    const key = readFileSync(path.join(dataDir, "backend.key"), "utf8").trim();
    const letters = await fetch(`${url}/v1/dead-letters`, {
      headers: { authorization: `Bearer ${readFileSync(path.join(dataDir, "admin.key"), "utf8").trim()}` },
    });
    const { data } = (await letters.json()) as { data: { intent_id: string }[] };
    expect(new Set(data.map(({ intent_id }) => intent_id)).size).toBe(2); // the first start's intent, and this one's
    expect(key).toMatch(/^ock_/);
  } finally {
    child.kill("SIGINT");
    expect(await ended(child)).toEqual([0, null]);
    squatter.close();
  }
  expect(stillRunning()).toEqual([]);
});

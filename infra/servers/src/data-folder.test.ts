import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { claimDataFolder } from "./data-folder.js";
import { identify, processStart } from "./process-identity.js";

let folder: string;
let said: string[];
const say = (line: string) => void said.push(line);
const deadOwner = { pid: 999_999_999, started: "1" };

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "outcry-folder-"));
  said = [];
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function writeClaim(claim: unknown): void {
  writeFileSync(path.join(folder, "owner.json"), JSON.stringify(claim));
}

test("a server left over by a dead owner is ended and said", async () => {
  const leftOver = spawn("sleep", ["60"]);
  const server = identify(leftOver.pid as number);
  writeClaim({ owner: deadOwner, server });
  await claimDataFolder(folder, "nats-server", say);
  expect(processStart(leftOver.pid as number)).toBeUndefined();
  expect(said).toEqual([`nats-server: ending process ${leftOver.pid}, left over by an earlier run`]);
});

test("a process that merely got the same id later is left alone", async () => {
  const stranger = spawn("sleep", ["60"]);
  writeClaim({ owner: deadOwner, server: { pid: stranger.pid, started: "1" } });
  await claimDataFolder(folder, "nats-server", say);
  expect(processStart(stranger.pid as number)).toBeDefined();
  expect(said).toEqual([]);
  stranger.kill();
});

test("a damaged claim does not lock the folder for ever", async () => {
  writeFileSync(path.join(folder, "owner.json"), "{");
  await expect(claimDataFolder(folder, "nats-server", say)).resolves.toBeDefined();
});

test("of many claims at once exactly one succeeds, and a released folder can be claimed again", async () => {
  const claims = await Promise.allSettled(
    Array.from({ length: 8 }, () => claimDataFolder(folder, "redis-server", say)),
  );
  const won = claims.filter((claim) => claim.status === "fulfilled");
  expect(won).toHaveLength(1);
  won[0]?.value.release();
  await expect(claimDataFolder(folder, "redis-server", say)).resolves.toBeDefined();
});

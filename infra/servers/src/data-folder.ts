// One server per data folder: the claim names who holds it. A server left over by a dead owner is ended, a live owner is
// respected. Two servers on one JetStream or AOF folder would destroy it.

import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { identify, isAlive, type ProcessIdentity } from "./process-identity.js";
import type { Progress } from "./progress.js";

const claimAttemptsMax = 5; // each lost attempt means that another process made progress
const politeEndMs = 10_000; // a server flushes and ends well within this
const pollMs = 20;

interface Claim {
  readonly owner: ProcessIdentity;
  readonly server?: ProcessIdentity;
}

export interface DataFolder {
  readonly path: string;
  recordServer(pid: number): void;
  release(): void;
}

export async function claimDataFolder(folder: string, name: string, progress: Progress): Promise<DataFolder> {
  const owner = identify(process.pid);
  if (!owner) throw new Error("this process cannot be identified: is /proc readable?");
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, "owner.json");
  for (let attempt = 0; attempt < claimAttemptsMax; attempt += 1) {
    if (createWhole(file, { owner })) return claimed(folder, file, owner);
    const held = readClaim(file);
    if (held && isAlive(held.owner)) {
      throw new Error(
        `${folder} is in use by process ${held.owner.pid}: end that one first, or choose another data folder`,
      );
    }
    if (held?.server && isAlive(held.server)) {
      progress(`${name}: ending process ${held.server.pid}, left over by an earlier run`);
      await end(held.server);
    }
    removeClaim(file);
  }
  throw new Error(`${folder} could not be claimed: other processes are claiming it at the same time`);
}

function claimed(folder: string, file: string, owner: ProcessIdentity): DataFolder {
  return {
    path: folder,
    recordServer(pid) {
      const server = identify(pid);
      replaceWhole(file, server ? { owner, server } : { owner });
    },
    release() {
      rmSync(file, { force: true });
    },
  };
}

/** Created with its content or not at all: link(2) fails when the name is taken. */
function createWhole(file: string, claim: Claim): boolean {
  const draft = writeDraft(file, claim);
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return false;
  } finally {
    rmSync(draft, { force: true });
  }
}

function replaceWhole(file: string, claim: Claim): void {
  renameSync(writeDraft(file, claim), file);
}

function writeDraft(file: string, claim: Claim): string {
  const draft = `${file}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  writeFileSync(draft, JSON.stringify(claim));
  return draft;
}

function readClaim(file: string): Claim | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Claim;
  } catch {
    return undefined; // released in this moment, or damaged: nobody holds it
  }
}

function removeClaim(file: string): void {
  rmSync(file, { force: true });
}

async function end(server: ProcessIdentity): Promise<void> {
  signal(server, "SIGTERM");
  signal(server, "SIGCONT"); // a paused process would never see the first
  const deadline = Date.now() + politeEndMs;
  while (isAlive(server) && Date.now() < deadline) await sleep(pollMs);
  signal(server, "SIGKILL");
  while (isAlive(server)) await sleep(pollMs);
}

function signal(server: ProcessIdentity, name: NodeJS.Signals): void {
  if (!isAlive(server)) return;
  try {
    process.kill(server.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

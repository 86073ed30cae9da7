// The run marker says that Redis holds everything the record implies, and up to which sequence of INTENTS a rebuild has read it: of
// what ended before, no tombstone tells. It is set last by a rebuild and lost with the data; every script checks it. One process
// rebuilds under a lease, the others wait (DESIGN "Rebuild").

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "@outcry/protocol";
import { isRebuildNeeded, type RedisStore, translated } from "./connect.js";
import {
  clearRows,
  createRebuildWriter,
  held,
  LEASE_KEY,
  LeaseLost,
  leasedScript,
  type RebuildWriter,
} from "./rebuild-writer.js";
import { plainScript, RUN_KEY, runScript } from "./scripts.js";

const LEASE_MS = 5_000; // a holder that died is replaced after this
const POLL_MS = 100;
const REPEATS_MAX = 5; // data lost again and again within one operation is an outage, not a rebuild

export interface Rebuilt {
  /** The last sequence of INTENTS that was read, 0 for an empty record. */
  throughSeq: number;
}

export interface RunOptions {
  store: RedisStore;
  /** Writes every open intent of the record; called again from the start when Redis loses data meanwhile. */
  rebuild(write: RebuildWriter): Promise<Rebuilt>;
  log: Log;
  leaseMs?: number;
  signal?: AbortSignal;
}

export type RunOutcome = { kind: "present" | "rebuilt" | "rebuilt_elsewhere"; runId: string };

/** The run id where the marker is there: in one step, since a rebuild beside a marker would write over what others have written. */
const LEASE = plainScript(`local marker = redis.call('GET', KEYS[2])
if marker then return marker end
return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') and 'leased' or 'held'`);
const COMMIT = leasedScript(`redis.call('SET', KEYS[2], ARGV[2]) redis.call('DEL', KEYS[1])`);
const RENEW = leasedScript(`redis.call('PEXPIRE', KEYS[1], ARGV[2])`);
const RELEASE = leasedScript(`redis.call('DEL', KEYS[1])`);

/** Marks an empty Redis as complete: right only where the record is empty too. */
export async function createRun(store: RedisStore): Promise<string> {
  await translated(store.client.set(RUN_KEY, runId(0, randomUUID()), "NX"));
  return (await readRun(store))!;
}

export async function readRun(store: RedisStore): Promise<string | undefined> {
  return (await translated(store.client.get(RUN_KEY))) ?? undefined;
}

/** Returns when the marker is there. An error of `rebuild` itself is thrown, and the lease given back. */
export async function withRebuild(options: RunOptions): Promise<RunOutcome> {
  const { store, log, leaseMs = LEASE_MS, signal } = options;
  for (let waited = false; ; waited = true) {
    signal?.throwIfAborted();
    const token = randomUUID();
    const found = String(await runScript(store, LEASE, { keys: [LEASE_KEY, RUN_KEY], args: [token, leaseMs] }));
    if (found === "held") {
      await sleep(POLL_MS, undefined, { signal });
      continue;
    }
    if (found !== "leased") return { kind: waited ? "rebuilt_elsewhere" : "present", runId: found };
    try {
      return { kind: "rebuilt", runId: await rebuildLeased(options, token, leaseMs) };
    } catch (error) {
      if (!(error instanceof LeaseLost)) throw error;
      log.warn({}, "redis lost its data or the lease during the rebuild; starting again");
    }
  }
}

/** Scripts read the sequence in front. */
const runId = (throughSeq: number, token: string): string => `${throughSeq}:${token}`;

/** The marker appears in the same step in which the lease goes. Returns its run id. */
async function rebuildLeased({ store, rebuild, log }: RunOptions, token: string, leaseMs: number): Promise<string> {
  const startedAt = performance.now();
  log.info({}, "redis holds no run marker; rebuilding it from the record");
  const renewal = setInterval(() => {
    // A renewal that fails shows at the next write.
    runScript(store, RENEW, { keys: [LEASE_KEY], args: [token, leaseMs] }).catch((error: unknown) =>
      log.debug({ err: error }, "rebuild lease not renewed"),
    );
  }, leaseMs / 3);
  try {
    await clearRows(store, token);
    const { throughSeq } = await rebuild(createRebuildWriter(store, token));
    const id = runId(throughSeq, token);
    held(await runScript(store, COMMIT, { keys: [LEASE_KEY, RUN_KEY], args: [token, id] }));
    log.info({ duration_ms: Math.round(performance.now() - startedAt) }, "redis is rebuilt");
    return id;
  } catch (error) {
    await runScript(store, RELEASE, { keys: [LEASE_KEY], args: [token] }).catch(() =>
      log.debug({}, "rebuild lease left to expire"),
    );
    throw error;
  } finally {
    clearInterval(renewal);
  }
}

export interface RunKeeper {
  /** Makes sure of the marker; concurrent calls in one process share one rebuild. */
  ensure(): Promise<RunOutcome>;
  /** Runs idempotent work on the stores, again after each rebuild that it turns out to need. */
  during<T>(work: () => Promise<T>): Promise<T>;
}

export function createRunKeeper(options: RunOptions): RunKeeper {
  let running: Promise<RunOutcome> | undefined;
  const ensure = (): Promise<RunOutcome> => {
    running ??= withRebuild(options).finally(() => (running = undefined));
    return running;
  };
  return {
    ensure,
    async during(work) {
      for (let repeat = 0; ; repeat++) {
        try {
          return await work();
        } catch (error) {
          if (!isRebuildNeeded(error) || repeat === REPEATS_MAX) throw error;
          await ensure();
        }
      }
    },
  };
}

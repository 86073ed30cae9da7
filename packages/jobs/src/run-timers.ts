// Runs due timers with bounded concurrency. A claim is kept by extending its lease; an outage spends none of the claims
// after which a timer counts as poison. Any number of processes may run it on one index.

import { setTimeout as sleep } from "node:timers/promises";
import { type Clock, isTemporary, type Log } from "@outcry/protocol";
import { isRebuildNeeded } from "./connect.js";
import type { TimerClaim, TimerKind, Timers } from "./timers.js";

const IDLE_MS_MAX = 250; // a timer that another process sets is seen within this
const LEASE_MS = 10_000; // a process that died gives its timers back after this
const CLAIMS_MAX = 10; // a timer that ends its process each time stops here
const FAILED_DELAY_MS = 500; // times the number of claims, at most ten of them
const OUTAGE_DELAY_MS = 200;

/** Resolves while the dependencies answer; rejects when the signal aborts. */
export type Gate = (signal: AbortSignal) => Promise<void>;

export interface TimerContext {
  /** True when an earlier run may have done part of the work. */
  isRedelivered: boolean;
  signal: AbortSignal;
}

/** Returns nothing when the work is done, or when to run again. */
export type TimerHandler = (claim: TimerClaim, context: TimerContext) => Promise<{ againAtMs: number } | void>;

export interface RunTimersOptions {
  timers: Timers;
  handlers: Record<TimerKind, TimerHandler>;
  /** The last thing done for a timer whose handler keeps failing; repeated until it succeeds. */
  onExhausted(claim: TimerClaim, cause: unknown): Promise<void>;
  gate: Gate;
  /** Called when Redis has lost its data; timers go on once it returns. */
  onRebuildNeeded(): Promise<unknown>;
  concurrency: number;
  log: Log;
  clock: Clock;
  leaseMs?: number;
  claimsMax?: number;
}

export interface TimerWorker {
  /** Look now: this process has just set a timer that is due soon. */
  nudge(): void;
  /** Claims nothing more and returns when the running handlers are done. */
  stop(): Promise<void>;
}

export function runTimers(options: RunTimersOptions): TimerWorker {
  const { timers, log, clock, leaseMs = LEASE_MS } = options;
  const stopping = new AbortController();
  const running = new Set<Promise<void>>();
  let nudged = false;
  let wake: () => void = () => undefined;

  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        await options.gate(stopping.signal);
        nudged = false; // a nudge from here on may be about a timer that the claim below no longer sees
        await pause(await claimAndStart());
      } catch (error) {
        if (stopping.signal.aborted) return;
        await afterFailure(error);
      }
    }
  };

  /** Milliseconds until there may be more to do. */
  const claimAndStart = async (): Promise<number> => {
    const free = options.concurrency - running.size;
    if (free <= 0) return IDLE_MS_MAX;
    const { claims, nextDueMs } = await timers.claimDue(clock.now(), free, leaseMs);
    for (const claim of claims) {
      const work = settleTimer(options, claim, stopping.signal).finally(() => {
        running.delete(work);
        nudge();
      });
      running.add(work);
    }
    if (claims.length === free) return IDLE_MS_MAX; // a handler that ends wakes the loop
    return nextDueMs === undefined ? IDLE_MS_MAX : Math.max(0, nextDueMs - clock.now());
  };

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      if (nudged) return resolve();
      const timer = setTimeout(resolve, Math.min(ms, IDLE_MS_MAX));
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const afterFailure = async (error: unknown): Promise<void> => {
    if (!isRebuildNeeded(error)) log.warn({ err: error }, "timers: cannot claim");
    else await options.onRebuildNeeded().catch((cause: unknown) => log.warn({ err: cause }, "timers: rebuild failed"));
    await sleep(OUTAGE_DELAY_MS);
  };

  const nudge = (): void => {
    nudged = true;
    wake();
  };

  const looping = loop();
  return {
    nudge,
    async stop() {
      stopping.abort(new Error("timers are stopping"));
      nudge();
      await looping;
      await Promise.all(running);
    },
  };
}

/** Runs one claim to its end. Never throws: a timer that cannot be settled comes back when its lease ends. */
async function settleTimer(options: RunTimersOptions, claim: TimerClaim, signal: AbortSignal): Promise<void> {
  const { timers, log, clock, leaseMs = LEASE_MS, claimsMax = CLAIMS_MAX } = options;
  let extending: Promise<unknown> = Promise.resolve();
  const renewal = setInterval(() => {
    extending = timers
      .extend(claim, clock.now() + leaseMs)
      .catch(() => log.debug({ timer: claim.member }, "timer lease not extended"));
  }, leaseMs / 2);
  // An extension in flight changes the due time by which the claim is known.
  const endRenewal = async (): Promise<void> => {
    clearInterval(renewal);
    await extending;
  };
  try {
    const again = await handle(options, claim, signal, claimsMax);
    await endRenewal();
    if (again) await timers.reschedule(claim, again.againAtMs);
    else await timers.complete(claim);
  } catch (error) {
    await endRenewal();
    const outage = isTemporary(error) || isRebuildNeeded(error);
    log.warn({ err: error, timer: claim.member, claims: claim.claims, outage }, "timer failed; it will run again");
    const delayMs = outage ? OUTAGE_DELAY_MS : FAILED_DELAY_MS * Math.min(claim.claims, 10);
    await timers
      .release(claim, clock.now() + delayMs, !outage)
      .catch(() => log.debug({ timer: claim.member }, "timer not released; it comes back when its lease ends"));
  }
}

async function handle(
  { handlers, onExhausted }: RunTimersOptions,
  claim: TimerClaim,
  signal: AbortSignal,
  claimsMax: number,
): Promise<{ againAtMs: number } | void> {
  if (claim.claims > claimsMax) {
    return onExhausted(claim, new Error(`timer ${claim.member} was claimed ${claimsMax} times and never completed`));
  }
  try {
    return await handlers[claim.kind](claim, { isRedelivered: claim.claims > 1, signal });
  } catch (error) {
    if (claim.claims < claimsMax || isTemporary(error) || isRebuildNeeded(error)) throw error;
    return onExhausted(claim, error);
  }
}

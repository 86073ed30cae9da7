// Keeps EVENTS from growing for ever: what is older than its retention goes, by sequence. Any number of processes may run it.

import { type Backbone, purgeBelow, seqAtTime } from "@outcry/backbone";
import { type Clock, LIMITS, type Log, STREAMS, isTemporary } from "@outcry/protocol";

const TRIM_EVERY_MS = 10 * 60_000;
// As long as INTENTS keeps an intent: no event of one that can still be open is removed.
const RETENTION_MS = LIMITS.intentsAgeMs;

export interface Trimmer {
  stop(): void;
}

export interface TrimDeps {
  readonly backbone: Backbone;
  /** Asked first: everything below `seq`, stored before `beforeMs`, is about to go. */
  readonly beforePurge?: (seq: number, beforeMs: number) => Promise<void>;
}

export function keepTrimming(deps: TrimDeps & { clock: Clock; log: Log }): Trimmer {
  const trim = () => {
    trimEvents(deps, deps.clock.now() - RETENTION_MS).then(
      (removed) => removed > 0 && deps.log.info({ removed }, "events beyond their retention were removed"),
      (error: unknown) => deps.log[isTemporary(error) ? "debug" : "error"]({ err: error }, "events were not trimmed"),
    );
  };
  trim();
  const timer = setInterval(trim, TRIM_EVERY_MS);
  return { stop: () => clearInterval(timer) };
}

/** Removes events stored before `beforeMs`. */
export async function trimEvents({ backbone, beforePurge }: TrimDeps, beforeMs: number): Promise<number> {
  const seq = await seqAtTime(backbone, STREAMS.events, beforeMs);
  await beforePurge?.(seq, beforeMs);
  return purgeBelow(backbone, STREAMS.events, seq);
}

// Counters that several processes add to, gone by themselves: rate limits. Not guarded by the run marker; losing them forgives.

import type { RedisStore } from "./connect.js";
import { plainScript, runScripts } from "./scripts.js";

export interface CounterStep {
  readonly key: string;
  /** 0 only reads. */
  readonly delta: number;
  readonly ttlMs: number;
}

const ADD = plainScript(`if ARGV[1] == '0' then
  return redis.call('GET', KEYS[1]) or '0'
end
local sum = redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return tostring(sum)`);

/** Adds each delta and returns the sums of all processes, in one round trip. */
export async function addAndRead(store: RedisStore, steps: readonly CounterStep[]): Promise<number[]> {
  const replies = await runScripts(
    store,
    ADD,
    steps.map(({ key, delta, ttlMs }) => ({ keys: [key], args: [delta, ttlMs] })),
  );
  return replies.map((reply) => Number(String(reply)));
}

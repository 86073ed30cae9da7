// The durable due-index: one sorted set of timers by due time, any number of processes. A claim moves the timer forward by a
// lease; whoever holds the claim's due time owns it, so a late holder can neither complete nor move what was set anew.

import type { RedisStore } from "./connect.js";
import { guardedScript, RUN_KEY, runScript } from "./scripts.js";

export const DUE_KEY = "due";
export const CLAIMS_KEY = "claims"; // how often each timer was claimed without being completed

export const TIMER_KINDS = ["retry", "deadline", "end", "replay"] as const;
export type TimerKind = (typeof TIMER_KINDS)[number];

/** `attempt` is the one that becomes due; only retries have it. */
export interface TimerName {
  kind: TimerKind;
  /** Of the intent that it drives; of the replay for `replay`. */
  intentId: string;
  attempt?: number;
}

export interface TimerClaim extends TimerName {
  member: string;
  /** 1 at first; more means that an earlier claim was not completed. */
  claims: number;
  leaseUntilMs: number;
}

export interface Timers {
  claimDue(
    nowMs: number,
    limit: number,
    leaseMs: number,
  ): Promise<{ claims: TimerClaim[]; nextDueMs: number | undefined }>;
  /** All four: false when the timer was set anew or claimed by another meanwhile; then nothing changes. */
  complete(claim: TimerClaim): Promise<boolean>;
  extend(claim: TimerClaim, leaseUntilMs: number): Promise<boolean>;
  /** Due again later as a fresh timer, with no claims counted. */
  reschedule(claim: TimerClaim, dueMs: number): Promise<boolean>;
  /** Due again later; `spent` tells whether this claim counts against the limit. */
  release(claim: TimerClaim, dueMs: number, spent: boolean): Promise<boolean>;
  schedule(timer: TimerName, dueMs: number): Promise<void>;
  /** As schedule, but one that is set, or claimed, stays as it is. */
  ensure(timer: TimerName, dueMs: number): Promise<void>;
  nextDue(): Promise<number | undefined>;
  /** Intents with a deadline after `afterMs`, soonest first: those that are open. Looks at `limit` timers of any kind at most. */
  openIntents(afterMs: number, limit: number): Promise<{ ids: string[]; complete: boolean }>;
}

const CLAIM = guardedScript(`
local members = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
local claims = {}
for i, member in ipairs(members) do
  redis.call('ZADD', KEYS[2], ARGV[3], member)
  claims[i] = redis.call('HINCRBY', KEYS[3], member, 1)
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
return {members, claims, first[2]}`);

/** ARGV: member, lease, what to do, time. */
const SETTLE = guardedScript(`
if tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1])) ~= tonumber(ARGV[2]) then return 0 end
if ARGV[3] == 'complete' then
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
end
if ARGV[3] == 'complete' or ARGV[3] == 'reschedule' then redis.call('HDEL', KEYS[3], ARGV[1]) end
if ARGV[3] == 'unspent' then redis.call('HINCRBY', KEYS[3], ARGV[1], -1) end
return 1`);

const SCHEDULE = guardedScript(`
redis.call('ZADD', KEYS[2], ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2])
return 1`);

/** ARGV: after, limit. */
const BY_TIME = guardedScript(
  `return redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'LIMIT', 0, ARGV[2])`,
);
const ENSURE = guardedScript(`return redis.call('ZADD', KEYS[2], 'NX', ARGV[1], ARGV[2])`);

const NEXT = guardedScript(`return redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]`);

const KEYS = [RUN_KEY, DUE_KEY, CLAIMS_KEY];

export function createTimers(store: RedisStore): Timers {
  const settle = async (claim: TimerClaim, action: string, atMs: number): Promise<boolean> =>
    (await runScript(store, SETTLE, { keys: KEYS, args: [claim.member, claim.leaseUntilMs, action, atMs] })) === 1;

  return {
    async claimDue(nowMs, limit, leaseMs) {
      const leaseUntilMs = nowMs + leaseMs;
      const reply = await runScript(store, CLAIM, { keys: KEYS, args: [nowMs, limit, leaseUntilMs] });
      const [members, counts, next] = reply as [Buffer[], number[], Buffer | undefined];
      const claims = members.map((member, index) => ({
        ...parseTimer(String(member)),
        member: String(member),
        claims: counts[index]!,
        leaseUntilMs,
      }));
      return { claims, nextDueMs: next && Number(next) };
    },
    complete: (claim) => settle(claim, "complete", 0),
    async extend(claim, leaseUntilMs) {
      const extended = await settle(claim, "extend", leaseUntilMs);
      if (extended) claim.leaseUntilMs = leaseUntilMs;
      return extended;
    },
    reschedule: (claim, dueMs) => settle(claim, "reschedule", dueMs),
    release: (claim, dueMs, spent) => settle(claim, spent ? "spent" : "unspent", dueMs),
    async schedule(timer, dueMs) {
      await runScript(store, SCHEDULE, { keys: KEYS, args: [dueMs, timerMember(timer)] });
    },
    async ensure(timer, dueMs) {
      await runScript(store, ENSURE, { keys: KEYS, args: [dueMs, timerMember(timer)] });
    },
    async nextDue() {
      const due = await runScript(store, NEXT, { keys: KEYS, args: [] });
      return due === null ? undefined : Number(due);
    },
    async openIntents(afterMs, limit) {
      const members = (await runScript(store, BY_TIME, { keys: KEYS, args: [afterMs, limit] })) as Buffer[];
      const names = members.map((member) => parseTimer(String(member)));
      const ids = names.flatMap(({ kind, intentId }) => (kind === "deadline" ? [intentId] : []));
      return { ids, complete: members.length < limit };
    },
  };
}

export function timerMember({ kind, intentId, attempt }: TimerName): string {
  return attempt === undefined ? `${kind}:${intentId}` : `${kind}:${intentId}:${attempt}`;
}

export function parseTimer(member: string): TimerName {
  const [kind, intentId, attempt] = member.split(":");
  if (!TIMER_KINDS.includes(kind as TimerKind) || !intentId) throw new TypeError(`not a timer: ${member}`);
  return { kind: kind as TimerKind, intentId, ...(attempt === undefined ? {} : { attempt: Number(attempt) }) };
}

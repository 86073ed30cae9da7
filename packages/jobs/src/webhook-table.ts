// What processes that send webhooks share: who is alive, who runs which webhook, the last attempts, and how often what is being sent has
// failed. Hot only: a flush forgets it, so that a failing event gets its attempts anew, and costs no event: the place in the log is the
// consumer's (JetStream).

import { plainScript, runScript, runScripts } from "./scripts.js";
import { type RedisStore, translated } from "./connect.js";

const WORKERS_KEY = "webhook:workers";
const claimKey = (webhookId: string): string => `webhook:claim:${webhookId}`;
const attemptsKey = (webhookId: string): string => `webhook:attempts:${webhookId}`;
const failingKey = (webhookId: string): string => `webhook:failing:${webhookId}`;
const failuresKey = (consumer: string): string => `webhook:failures:${consumer}`;

const WORKER_MS = 5_000; // a silent process' webhooks are taken over after its claims have ended, too
const CLAIM_MS = 6_000; // longer than a consumer's ack wait: what a killed process had in hand comes first again
const ATTEMPTS_MS = 8 * 24 * 3_600_000; // as long as events are kept

// Redis' own clock: processes' clocks may differ by more than these times.
const BEAT = plainScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return redis.call('ZRANGE', KEYS[1], 0, -1)`);

const CLAIM = plainScript(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`);

const RELEASE = plainScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1`);

// Attempts, newest first; and since when nothing but failures came, which one delivery or a silence ends.
const ADD_ATTEMPTS = plainScript(`
redis.call('LPUSH', KEYS[1], unpack(ARGV, 6))
redis.call('LTRIM', KEYS[1], 0, ARGV[1] - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if ARGV[3] == 'delivered' then redis.call('DEL', KEYS[2]) end
if ARGV[3] ~= 'failed' then return false end
redis.call('SET', KEYS[2], ARGV[4], 'NX')
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return redis.call('GET', KEYS[2])`);

/** Attempts of one webhook that are written down together. */
export interface AttemptBatch {
  readonly webhookId: string;
  /** Oldest first. */
  readonly attempts: readonly string[];
  /** What they say about the receiver: one that took something is not failing. */
  readonly verdict: "delivered" | "failed" | "none";
}

export interface AttemptOptions {
  /** Attempts of a webhook that stay. */
  readonly keep: number;
  readonly nowMs: number;
  /** Without an attempt ends a run of failures. */
  readonly silenceMs: number;
}

export interface EventFailures {
  /** Attempts that failed. */
  readonly count: number;
  /** Of the last one. */
  readonly cause: string;
}

export interface WebhookTable {
  /** Says that this process lives; returns those that do. */
  beat(worker: string): Promise<string[]>;
  leave(worker: string): Promise<void>;
  /** Takes or keeps webhooks for this process; false for each that another one holds. */
  claim(worker: string, webhookIds: readonly string[]): Promise<boolean[]>;
  release(worker: string, webhookId: string): Promise<void>;
  /** Newest first. */
  attempts(webhookId: string, limit: number): Promise<string[]>;
  /** In one round trip; for each batch of failures since when there is nothing else. */
  addAttempts(batches: readonly AttemptBatch[], options: AttemptOptions): Promise<(number | undefined)[]>;
  failingSinceMs(webhookId: string): Promise<number | undefined>;
  /** Of an event, by its sequence, at one of a webhook's consumers. */
  failures(consumer: string, seq: number): Promise<EventFailures | undefined>;
  setFailures(consumer: string, seq: number, failures: EventFailures): Promise<void>;
  forgetFailures(consumer: string, seq: number): Promise<void>;
  forget(webhookId: string): Promise<void>;
}

export function createWebhookTable(store: RedisStore): WebhookTable {
  return { ...sharing(store), ...attemptsOf(store), ...failuresOf(store) };
}

function sharing(store: RedisStore): Pick<WebhookTable, "beat" | "leave" | "claim" | "release" | "forget"> {
  return {
    async beat(worker) {
      const reply = (await runScript(store, BEAT, { keys: [WORKERS_KEY], args: [worker, WORKER_MS] })) as Buffer[];
      return reply.map(String);
    },
    async leave(worker) {
      await translated(store.client.zrem(WORKERS_KEY, worker));
    },
    async claim(worker, webhookIds) {
      const calls = webhookIds.map((id) => ({ keys: [claimKey(id)], args: [worker, CLAIM_MS] }));
      return (await runScripts(store, CLAIM, calls)).map((reply) => reply === 1);
    },
    async release(worker, webhookId) {
      await runScript(store, RELEASE, { keys: [claimKey(webhookId)], args: [worker] });
    },
    async forget(webhookId) {
      await translated(store.client.del(attemptsKey(webhookId), claimKey(webhookId), failingKey(webhookId)));
    },
  };
}

function attemptsOf(store: RedisStore): Pick<WebhookTable, "attempts" | "addAttempts" | "failingSinceMs"> {
  return {
    attempts: (webhookId, limit) => translated(store.client.lrange(attemptsKey(webhookId), 0, limit - 1)),
    async addAttempts(batches, { keep, nowMs, silenceMs }) {
      const calls = batches.map(({ webhookId, attempts, verdict }) => ({
        keys: [attemptsKey(webhookId), failingKey(webhookId)],
        args: [keep, ATTEMPTS_MS, verdict, nowMs, silenceMs, ...attempts],
      }));
      return ((await runScripts(store, ADD_ATTEMPTS, calls)) as (Buffer | null)[]).map(numberOf);
    },
    async failingSinceMs(webhookId) {
      return numberOf(await translated(store.client.get(failingKey(webhookId))));
    },
  };
}

function failuresOf(store: RedisStore): Pick<WebhookTable, "failures" | "setFailures" | "forgetFailures"> {
  return {
    async failures(consumer, seq) {
      const text = await translated(store.client.hget(failuresKey(consumer), String(seq)));
      return text === null ? undefined : (JSON.parse(text) as EventFailures);
    },
    async setFailures(consumer, seq, failures) {
      const key = failuresKey(consumer);
      await translated(
        store.client.pipeline().hset(key, String(seq), JSON.stringify(failures)).pexpire(key, ATTEMPTS_MS).exec(),
      );
    },
    async forgetFailures(consumer, seq) {
      await translated(store.client.hdel(failuresKey(consumer), String(seq)));
    },
  };
}

const numberOf = (reply: Buffer | string | null): number | undefined =>
  reply === null ? undefined : Number(reply.toString());

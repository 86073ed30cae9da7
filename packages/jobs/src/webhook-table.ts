// What processes that send webhooks share: who is alive, who runs which webhook, and the last attempts. Hot only: a flush forgets
// attempts and claims, and costs no event, since the place in the log is the consumer's (JetStream).

import { plainScript, runScript, runScripts } from "./scripts.js";
import { type RedisStore, translated } from "./connect.js";

const WORKERS_KEY = "webhook:workers";
const claimKey = (webhookId: string): string => `webhook:claim:${webhookId}`;
const attemptsKey = (webhookId: string): string => `webhook:attempts:${webhookId}`;

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

export interface WebhookTable {
  /** Says that this process lives; returns those that do. */
  beat(worker: string): Promise<string[]>;
  leave(worker: string): Promise<void>;
  /** Takes or keeps webhooks for this process; false for each that another one holds. */
  claim(worker: string, webhookIds: readonly string[]): Promise<boolean[]>;
  release(worker: string, webhookId: string): Promise<void>;
  /** Newest first. */
  attempts(webhookId: string, limit: number): Promise<string[]>;
  addAttempt(webhookId: string, attempt: string, keep: number): Promise<void>;
  forget(webhookId: string): Promise<void>;
}

export function createWebhookTable(store: RedisStore): WebhookTable {
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
    attempts: (webhookId, limit) => translated(store.client.lrange(attemptsKey(webhookId), 0, limit - 1)),
    async addAttempt(webhookId, attempt, keep) {
      const key = attemptsKey(webhookId);
      await translated(
        store.client
          .pipeline()
          .lpush(key, attempt)
          .ltrim(key, 0, keep - 1)
          .pexpire(key, ATTEMPTS_MS)
          .exec(),
      );
    },
    async forget(webhookId) {
      await translated(store.client.del(attemptsKey(webhookId), claimKey(webhookId)));
    },
  };
}

// A redis-server of one's own for a test, set as in production, with connections that are closed with it.

import { setTimeout as sleep } from "node:timers/promises";
import { silentLog, systemClock } from "@outcry/protocol";
import { type ThrowawayRedis, throwawayRedis } from "@outcry/servers";
import { connectRedis, type RedisStore } from "./connect.js";

export interface TestRedis extends ThrowawayRedis {
  connect(): Promise<RedisStore>;
}

export async function startTestRedis(extraConfig = ""): Promise<TestRedis> {
  const redis = await throwawayRedis({ extraConfig });
  return Object.assign(redis, {
    async connect() {
      const store = connectRedis({ url: redis.url, log: silentLog, clock: systemClock, answerTimeoutMs: 1_000 });
      redis.beforeRemove(() => store.close());
      await store.health.whenUp(AbortSignal.timeout(5_000));
      return store;
    },
  });
}

/** Polls until the check holds; fails after five seconds. */
export async function eventually(check: () => boolean | Promise<boolean>, withinMs = 5_000): Promise<void> {
  const until = Date.now() + withinMs;
  while (!(await check())) {
    if (Date.now() > until) throw new Error("did not come true in time");
    await sleep(20);
  }
}

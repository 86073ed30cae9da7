import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { isOutcryError, silentLog, systemClock } from "@outcry/protocol";
import { connectRedis, type RedisStore } from "./connect.js";
import { createNonces } from "./nonces.js";
import { checkRedisPromises } from "./promises.js";
import { createRun } from "./run-marker.js";
import { eventually, startTestRedis, type TestRedis } from "./redis-server.fixture.js";
import { createTimers } from "./timers.js";

let redis: TestRedis;
let store: RedisStore;

beforeAll(async () => {
  redis = await startTestRedis();
  store = await redis.connect();
}, 20_000);
afterAll(() => redis.remove());

describe("the connection", () => {
  test("fails commands at once while Redis is down, tells its health, and comes back with the data", async () => {
    await createRun(store);
    const timers = createTimers(store);
    await timers.schedule({ kind: "end", intentId: "int_a" }, 42);
    const changes: boolean[] = [];
    const forget = store.health.onChange((up) => changes.push(up));

    await redis.kill9();
    await eventually(() => !store.health.up);
    const startedAt = performance.now();
    await expect(timers.nextDue()).rejects.toMatchObject({ code: "dependency_unavailable", temporary: true });
    expect(performance.now() - startedAt).toBeLessThan(1_000); // an answer is waited for 4 s
    await expect(store.health.whenUp(AbortSignal.timeout(30))).rejects.toThrow("timeout");

    await redis.restart();
    await store.health.whenUp(AbortSignal.timeout(5_000));
    expect(await timers.nextDue()).toBe(42);
    expect(changes).toEqual([false, true]);
    expect(store.health.lastUpAt).toBeGreaterThanOrEqual(store.health.lastDownAt!);
    forget();
  });

  test("counts a paused Redis as down, so that calls do not hang, and recovers when it goes on", async () => {
    const timers = createTimers(store);
    redis.pause();
    const error = await timers.nextDue().catch((caught: unknown) => caught);
    expect(isOutcryError(error, "dependency_unavailable")).toBe(true);
    expect(store.health.up).toBe(false);
    redis.resume();
    await store.health.whenUp(AbortSignal.timeout(5_000));
    expect(await timers.nextDue()).toBe(42);
  });

  test("says that Redis is not there when it never was, and closes all the same", async () => {
    const nowhere = connectRedis({ url: "redis://127.0.0.1:1", log: silentLog, clock: systemClock });
    await expect(createTimers(nowhere).nextDue()).rejects.toMatchObject({ code: "dependency_unavailable" });
    await nowhere.close();
  });
});

describe("the promises of Redis", () => {
  test("are all kept by the production settings", async () => {
    expect(await checkRedisPromises(store)).toEqual([]);
  });

  test("are each named with the line to change when Redis is set otherwise", async () => {
    const loose = await startTestRedis("appendonly no\nappendfsync everysec\nmaxmemory-policy allkeys-lru");
    try {
      const unkept = await checkRedisPromises(await loose.connect());
      expect(unkept.map(({ found, fixLine }) => [found, fixLine])).toEqual([
        ["no", "appendonly yes"],
        ["everysec", "appendfsync always"],
        ["allkeys-lru", "maxmemory-policy noeviction"],
      ]);
    } finally {
      await loose.remove();
    }
  });

  test("count as unkept where they cannot be read", async () => {
    await store.client.acl("SETUSER", "default", "-config");
    try {
      const unkept = await checkRedisPromises(store);
      expect(unkept.map(({ setting, found }) => [setting, found])).toEqual([
        ["appendonly", "unreadable"],
        ["appendfsync", "unreadable"],
        ["maxmemory-policy", "unreadable"],
      ]);
    } finally {
      await store.client.acl("SETUSER", "default", "+config");
    }
  });
});

describe("nonces", () => {
  test("are good once, for their subject, until they expire, and from any process", async () => {
    let now = systemClock.now();
    const clock = { now: () => now };
    const nonces = createNonces({ store, clock, ttlMs: 60_000 });
    const elsewhere = createNonces({ store: await redis.connect(), clock, ttlMs: 60_000 });
    const nonce = await nonces.issue("nod_a");
    expect(await elsewhere.consume("nod_b", nonce)).toBe("unknown");
    expect(await elsewhere.consume("nod_a", nonce)).toBe("ok");
    expect(await nonces.consume("nod_a", nonce)).toBe("used");
    for (const forged of ["", "a", "1.2.3", `${nonce}x`, nonce.replace(/^\d/, "9"), nonce.replace(/.$/, "é")]) {
      expect(await nonces.consume("nod_a", forged)).toBe("unknown");
    }
    const late = await nonces.issue("nod_a");
    now += 60_000;
    expect(await nonces.consume("nod_a", late)).toBe("expired");
  });
});

// Quotas shared by processes over a real Redis: they learn of each other, and go on alone when it is away or empty.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { silentLog } from "@outcry/protocol";
import type { RedisStore } from "./connect.js";
import { createLimiter, type Limiter } from "./limiter.js";
import { eventually, startTestRedis, type TestRedis } from "./redis-server.fixture.js";

let redis: TestRedis;
let stores: RedisStore[];
let nowMs: number;
const clock = { now: () => nowMs };

beforeAll(async () => {
  redis = await startTestRedis();
  stores = await Promise.all([redis.connect(), redis.connect()]);
}, 20_000);
afterAll(() => redis.remove());
beforeEach(async () => {
  await stores[0]!.client.flushall();
  nowMs = 1_000_000 * 60_000;
});

const policies = [
  { name: "deliveries", quota: 100, windowMs: 60_000 },
  { name: "bytes", quota: 10_000, windowMs: 60_000 },
  { name: "off", quota: 0, windowMs: 60_000 },
];
const limiter = (process: number, name = "test"): Limiter =>
  createLimiter({ name, policies, store: stores[process], clock, log: silentLog });

const one = { deliveries: 1, bytes: 10 };

describe("a limiter", () => {
  test("takes the whole cost or nothing, and says which policy was in the way", async () => {
    const alone = createLimiter({ name: "alone", policies, clock, log: silentLog });
    expect(alone.charge("a", { deliveries: 40, bytes: 9_000 })).toEqual({ kind: "charged" });
    const refused = alone.charge("a", { deliveries: 10, bytes: 1_001 });
    expect(refused).toMatchObject({ kind: "refused", cost: 1_001, left: 1_000, policy: { name: "bytes" } });
    expect(alone.standing("a").map(({ policy, left }) => [policy.name, left])).toEqual([
      ["deliveries", 60],
      ["bytes", 1_000],
    ]);
    expect(alone.charge("b", { deliveries: 100, bytes: 1 })).toEqual({ kind: "charged" });
  });

  test("hears of other processes within one exchange", async () => {
    const [first, second] = [limiter(0), limiter(1)];
    first.charge("a", { deliveries: 70, bytes: 10 });
    await first.sync();
    second.charge("a", one);
    await second.sync();
    expect(second.standing("a")[0]!.left).toBe(29);
    expect(second.charge("a", { deliveries: 30, bytes: 1 }).kind).toBe("refused");
    await Promise.all([first.stop(), second.stop()]);
  });

  test("knows after a restart what was used before", async () => {
    const before = limiter(0);
    before.charge("a", { deliveries: 90, bytes: 10 });
    await before.stop();
    nowMs += 60_000;
    const after = limiter(1);
    after.standing("a");
    await after.sync();
    expect(after.standing("a")[0]!.left).toBe(10);
    await after.stop();
  });

  test("keeps its own count when Redis is emptied, and shares again", async () => {
    const [first, second] = [limiter(0), limiter(1)];
    first.charge("a", { deliveries: 60, bytes: 10 });
    await first.sync();
    await stores[0]!.client.flushall();
    first.charge("a", one);
    await first.sync();
    expect(first.standing("a")[0]!.left).toBe(39);
    second.charge("a", one);
    await second.sync();
    expect(second.standing("a")[0]!.left).toBe(98);
    await Promise.all([first.stop(), second.stop()]);
  });

  test("admits and refuses by itself while Redis is away, and tells it afterwards", async () => {
    const [first, second] = [limiter(0), limiter(1)];
    await redis.kill9();
    await eventually(() => !stores[0]!.health.up);
    expect(first.charge("a", { deliveries: 60, bytes: 10 }).kind).toBe("charged");
    await first.sync();
    expect(first.charge("a", { deliveries: 60, bytes: 10 }).kind).toBe("refused");
    await redis.restart();
    await eventually(() => stores.every(({ health }) => health.up));
    await first.sync();
    second.charge("a", one);
    await second.sync();
    expect(second.standing("a")[0]!.left).toBe(39);
    await Promise.all([first.stop(), second.stop()]);
  });

  test("is overrun by two processes by no more than one of them admits between two exchanges", async () => {
    const quota = 400;
    const perTick = 2; // of each process every 10 ms: the quota is used up within a second
    const started = Date.now();
    const real = { now: () => nowMs + Date.now() - started };
    const both = stores.map((store) =>
      createLimiter({
        name: "two",
        policies: [{ name: "deliveries", quota, windowMs: 60_000 }],
        store,
        clock: real,
        log: silentLog,
      }),
    );
    let admitted = 0;
    while (Date.now() - started < 2_000) {
      for (const each of both) if (each.charge("a", { deliveries: perTick }).kind === "charged") admitted += perTick;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(admitted).toBeGreaterThanOrEqual(quota - perTick);
    expect(admitted).toBeLessThanOrEqual(quota + (2 * perTick * 500) / 10); // 250 ms, doubled for a busy machine
    await Promise.all(both.map((each) => each.stop()));
  });

  test("leaves nothing in Redis that does not go by itself", async () => {
    const first = limiter(0);
    first.charge("a", one);
    await first.stop();
    const keys = await stores[0]!.client.keys("*limit:*");
    expect(keys).toHaveLength(2);
    for (const key of keys) expect(await stores[0]!.client.pttl(key.replace("{outcry}:", ""))).toBeGreaterThan(60_000);
  });
});

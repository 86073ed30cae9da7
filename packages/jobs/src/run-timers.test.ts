import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { OutcryError, silentLog, systemClock } from "@outcry/protocol";
import type { RedisStore } from "./connect.js";
import { createRun, createRunKeeper } from "./run-marker.js";
import { type RunTimersOptions, runTimers, type TimerHandler, type TimerWorker } from "./run-timers.js";
import { eventually, startTestRedis, type TestRedis } from "./redis-server.fixture.js";
import { createTimers, type TimerClaim, type Timers } from "./timers.js";

let redis: TestRedis;
let store: RedisStore;
let timers: Timers;
let workers: TimerWorker[] = [];

beforeAll(async () => {
  redis = await startTestRedis();
  store = await redis.connect();
  timers = createTimers(store);
}, 20_000);
afterAll(() => redis.remove());
beforeEach(async () => {
  await store.client.flushall();
  await createRun(store);
});
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.stop()));
  workers = [];
});

const now = (): number => systemClock.now();

function start(handler: TimerHandler, special: Partial<RunTimersOptions> = {}): TimerWorker {
  const worker = runTimers({
    timers,
    handlers: { retry: handler, deadline: handler, end: handler, replay: handler },
    onExhausted: async () => undefined,
    gate: (signal) => store.health.whenUp(signal),
    onRebuildNeeded: async () => undefined,
    concurrency: 4,
    log: silentLog,
    clock: systemClock,
    ...special,
  });
  workers.push(worker);
  return worker;
}

describe("the due-index", () => {
  test("hands out what is due, in order of time, to one claimant per lease", async () => {
    await timers.schedule({ kind: "retry", intentId: "int_a", attempt: 2 }, 200);
    await timers.schedule({ kind: "deadline", intentId: "int_a" }, 100);
    await timers.schedule({ kind: "end", intentId: "int_a" }, 900);
    const first = await timers.claimDue(500, 10, 1_000);
    expect(first.claims).toEqual([
      { kind: "deadline", intentId: "int_a", member: "deadline:int_a", claims: 1, leaseUntilMs: 1_500 },
      { kind: "retry", intentId: "int_a", attempt: 2, member: "retry:int_a:2", claims: 1, leaseUntilMs: 1_500 },
    ]);
    expect(first.nextDueMs).toBe(900);
    expect((await timers.claimDue(500, 10, 1_000)).claims).toEqual([]);
    const late = await timers.claimDue(1_500, 10, 1_000);
    expect(late.claims.map(({ member, claims }) => [member, claims])).toEqual([
      ["end:int_a", 1],
      ["deadline:int_a", 2],
      ["retry:int_a:2", 2],
    ]);
  });

  test("lets no late claimant complete what another has claimed, or what was set anew", async () => {
    await timers.schedule({ kind: "end", intentId: "int_a" }, 1);
    const [late] = (await timers.claimDue(1, 1, 10)).claims;
    const [second] = (await timers.claimDue(11, 1, 10)).claims;
    expect(await timers.complete(late!)).toBe(false);
    await timers.schedule({ kind: "end", intentId: "int_a" }, 7);
    expect(await timers.complete(second!)).toBe(false);
    expect(await timers.release(second!, 99, true)).toBe(false);
    expect(await timers.nextDue()).toBe(7);
  });
});

describe("running timers", () => {
  test("runs each timer once at its time, over two processes, and forgets it", async () => {
    const ran: [string, number][] = [];
    const handler: TimerHandler = async (claim) => void ran.push([claim.intentId, now()]);
    const due = now() + 300;
    for (let index = 0; index < 200; index++) await timers.schedule({ kind: "end", intentId: `int_${index}` }, due);
    start(handler);
    start(handler, { timers: createTimers(await redis.connect()) });
    await eventually(() => ran.length >= 200);
    await sleep(100);
    expect(new Set(ran.map(([id]) => id)).size).toBe(200);
    expect(ran).toHaveLength(200);
    expect(Math.min(...ran.map(([, at]) => at))).toBeGreaterThanOrEqual(due);
    expect(await timers.nextDue()).toBeUndefined();
    expect(await store.client.hlen("claims")).toBe(0);
  });

  test("looks at once when nudged", async () => {
    const ran: number[] = [];
    const worker = start(async () => void ran.push(now()));
    const waited: number[] = [];
    for (let index = 0; index < 5; index++) {
      await sleep(30);
      const setAt = now();
      await timers.schedule({ kind: "end", intentId: `int_${index}` }, setAt);
      worker.nudge();
      await eventually(() => ran.length === index + 1);
      waited.push(ran[index]! - setAt);
    }
    expect(Math.min(...waited)).toBeLessThan(100); // by itself it looks 220 ms later, each time
  });

  test("runs no more handlers at once than allowed, and stop waits for them", async () => {
    let running = 0;
    let peak = 0;
    for (let index = 0; index < 12; index++) await timers.schedule({ kind: "end", intentId: `int_${index}` }, 1);
    const worker = start(async () => {
      peak = Math.max(peak, ++running);
      await sleep(40);
      running--;
    });
    await sleep(60);
    await worker.stop();
    expect(running).toBe(0);
    expect(peak).toBe(4);
  });

  test("keeps a long claim alive, so that nobody else runs it", async () => {
    let runs = 0;
    await timers.schedule({ kind: "end", intentId: "int_a" }, 1);
    const handler: TimerHandler = async () => {
      runs++;
      await sleep(900);
    };
    start(handler, { leaseMs: 200 });
    start(handler, { leaseMs: 200 });
    await sleep(1_100);
    expect(runs).toBe(1);
    expect(await timers.nextDue()).toBeUndefined();
  });

  test("runs a timer again, and says so, when its process died with it", async () => {
    const redelivered: boolean[] = [];
    await timers.schedule({ kind: "end", intentId: "int_a" }, 1);
    await timers.claimDue(now(), 1, 150);
    start(async (_claim, { isRedelivered }) => void redelivered.push(isRedelivered));
    await eventually(() => redelivered.length === 1);
    expect(redelivered).toEqual([true]);
  });

  test("reschedules when the handler asks for it", async () => {
    const seen: number[] = [];
    await timers.schedule({ kind: "end", intentId: "int_a" }, 1);
    start(async (claim) => {
      seen.push(claim.claims);
      return seen.length < 3 ? { againAtMs: now() + 20 } : undefined;
    });
    await eventually(() => seen.length === 3);
    expect(seen).toEqual([1, 1, 1]);
  });

  test("spends no claims on an outage", async () => {
    let failures = 0;
    const exhausted: TimerClaim[] = [];
    await timers.schedule({ kind: "end", intentId: "int_a" }, 1);
    start(
      async () => {
        if (failures++ < 4) throw new OutcryError("dependency_unavailable", "nats: away");
      },
      { claimsMax: 2, onExhausted: async (claim) => void exhausted.push(claim) },
    );
    await eventually(async () => (await timers.nextDue()) === undefined);
    expect(failures).toBe(5);
    expect(exhausted).toEqual([]);
  });

  test("hands a timer that always fails to onExhausted, once that succeeds, and only then forgets it", async () => {
    let runs = 0;
    const exhausted: string[] = [];
    await timers.schedule({ kind: "end", intentId: "int_a" }, 1);
    start(
      async () => {
        runs++;
        throw new Error("poison");
      },
      {
        claimsMax: 2,
        async onExhausted(claim, cause) {
          exhausted.push(`${claim.member} ${(cause as Error).message}`);
          if (exhausted.length === 1) throw new OutcryError("dependency_unavailable", "nats: away");
        },
      },
    );
    await eventually(async () => (await timers.nextDue()) === undefined);
    expect(runs).toBe(3);
    expect(exhausted).toEqual(["end:int_a poison", "end:int_a poison"]);
  });

  test("hands a timer that kills its process each time to onExhausted without running it", async () => {
    const exhausted: string[] = [];
    await timers.schedule({ kind: "end", intentId: "int_a" }, 1);
    await timers.claimDue(10, 1, 1);
    await timers.claimDue(20, 1, 1);
    start(() => Promise.reject(new Error("must not run")), {
      claimsMax: 2,
      onExhausted: async (claim) => void exhausted.push(claim.member),
    });
    await eventually(() => exhausted.length === 1);
  });

  test("goes on by itself after kill -9 of Redis", async () => {
    const ran: string[] = [];
    start(async (claim) => void ran.push(claim.intentId));
    await timers.schedule({ kind: "end", intentId: "int_a" }, now() + 300);
    await redis.kill9();
    await sleep(400);
    await redis.restart();
    await eventually(() => ran.length === 1);
  });

  test("asks for a rebuild when the data is gone, and goes on with what it wrote", async () => {
    const ran: string[] = [];
    const keeper = createRunKeeper({
      store,
      log: silentLog,
      rebuild: (write) => write.putTimer({ kind: "end", intentId: "int_again" }, 1).then(() => ({ throughSeq: 0 })),
    });
    start(async (claim) => void ran.push(claim.intentId), { onRebuildNeeded: keeper.ensure });
    await store.client.flushall();
    await eventually(() => ran.includes("int_again"));
  });
});

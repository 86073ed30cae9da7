import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { OutcryError, silentLog, systemClock } from "@outcry/protocol";
import type { RedisStore } from "./connect.js";
import { createIntakeQueue, type IntakeQueue, type IntakeWorkerOptions } from "./intake-queue.js";
import { eventually, startTestRedis, type TestRedis } from "./redis-server.fixture.js";

interface Data {
  n: number;
}

let redis: TestRedis;
let store: RedisStore;
let queue: IntakeQueue<Data>;
let workers: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  redis = await startTestRedis();
  store = await redis.connect();
  queue = createIntakeQueue<Data>({ store, log: silentLog, clock: systemClock });
  await eventually(() =>
    queue.counts().then(
      () => true,
      () => false,
    ),
  );
}, 20_000);
afterAll(async () => {
  await queue.close();
  await redis.remove();
});
beforeEach(() => store.client.flushall());
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.stop()));
  workers = [];
});

function work(
  process: IntakeWorkerOptions<Data>["process"],
  special: Partial<IntakeWorkerOptions<Data>> = {},
): { stop(): Promise<void> } {
  const worker = queue.runIntakeWorker({
    concurrency: 8,
    process,
    onExhausted: async () => undefined,
    gate: (signal) => store.health.whenUp(signal),
    ...special,
  });
  workers.push(worker);
  return worker;
}

const jobs = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => ({ id: `quo_${from + index}`, data: { n: from + index } }));
const drained = async (): Promise<boolean> => {
  const { waiting, active, delayed } = await queue.counts();
  return waiting + active + delayed === 0;
};

describe("the intake queue", () => {
  test("runs each id once, however often it was added", async () => {
    const seen: number[] = [];
    await queue.addMany(jobs(50));
    await queue.addMany(jobs(60));
    work(async ({ n }, { attempt, isRedelivered }) => {
      expect([attempt, isRedelivered]).toEqual([1, false]);
      seen.push(n);
    });
    await eventually(() => seen.length === 60);
    await queue.addMany(jobs(60));
    await sleep(100);
    expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, n) => n));
  });

  test("repeats a failing job with backoff, then sets it aside for good", async () => {
    const attempts: number[] = [];
    const exhausted: unknown[] = [];
    await queue.addMany(jobs(1));
    work(
      async (_data, { attempt }) => {
        attempts.push(attempt);
        throw new Error("poison");
      },
      {
        attemptsMax: 3,
        async onExhausted(data, cause) {
          exhausted.push([data, (cause as Error).message]);
          if (exhausted.length === 1) throw new OutcryError("dependency_unavailable", "nats: away");
        },
      },
    );
    await eventually(() => exhausted.length === 2);
    await eventually(drained);
    expect(attempts).toEqual([1, 2, 3, 3]);
    expect(exhausted[1]).toEqual([{ n: 0 }, "poison"]);
  });

  test("spends no attempt on an outage and keeps its slots for other jobs", async () => {
    let outages = 6;
    const done: number[] = [];
    const attempts: number[] = [];
    await queue.addMany(jobs(2));
    work(
      async ({ n }, { attempt }) => {
        if (n === 0 && outages-- > 0) throw new OutcryError("dependency_unavailable", "nats: away");
        attempts.push(attempt);
        done.push(n);
      },
      { concurrency: 1, attemptsMax: 2 },
    );
    await eventually(() => done.length === 2);
    expect(done).toEqual([1, 0]);
    expect(attempts).toEqual([1, 1]);
  });

  test("holds jobs at a closed gate longer than their lock, and gives them back on stop", async () => {
    let runs = 0;
    const closed: IntakeWorkerOptions<Data>["gate"] = (signal) => sleep(60_000, undefined, { signal });
    await queue.addMany(jobs(2));
    const worker = work(async () => void runs++, { gate: closed });
    await sleep(7_500); // past the lock of 5 s and a stalled check
    expect(await queue.counts()).toMatchObject({ active: 2, waiting: 0 });
    await worker.stop();
    const attempts: number[] = [];
    work(async (_data, { attempt }) => void attempts.push(attempt));
    await eventually(() => attempts.length === 2);
    expect([runs, attempts]).toEqual([0, [1, 1]]);
  }, 20_000);

  test("fails adds and stops its workers at once while Redis is down", async () => {
    const worker = work(async () => undefined);
    await redis.kill9();
    await eventually(() => !store.health.up);
    const stoppedAt = performance.now();
    await worker.stop();
    expect(performance.now() - stoppedAt).toBeLessThan(3_000); // an answer is waited for 4 s
    await expect(queue.addMany(jobs(1))).rejects.toMatchObject({ code: "dependency_unavailable" });
    await redis.restart();
    await store.health.whenUp();
    await eventually(() =>
      queue.addMany(jobs(1)).then(
        () => true,
        () => false,
      ),
    );
  });

  test("works on after a FLUSHALL: jobs added again run", async () => {
    const seen: number[] = [];
    work(async ({ n }) => void seen.push(n));
    await queue.addMany(jobs(1));
    await eventually(() => seen.length === 1);
    await store.client.flushall();
    await queue.addMany(jobs(3));
    await eventually(() => seen.length === 4);
  });
});

describe("kill -9", () => {
  test("of Redis in mid-load loses no job", async () => {
    const seen = new Set<number>();
    work(async ({ n }) => {
      await sleep(5);
      seen.add(n);
    });
    const accepted: number[] = [];
    const stop = new AbortController();
    const adding = (async () => {
      for (let n = 0; !stop.signal.aborted; n += 10) {
        await eventually(() =>
          queue.addMany(jobs(10, n)).then(
            () => true,
            () => false,
          ),
        );
        for (let index = 0; index < 10; index++) accepted.push(n + index);
      }
    })();
    for (let kills = 0; kills < 3; kills++) {
      await sleep(300);
      await redis.kill9();
      await sleep(100);
      await redis.restart();
    }
    await sleep(200);
    stop.abort();
    await adding;
    await eventually(() => accepted.every((n) => seen.has(n)), 20_000);
    expect(accepted.length).toBeGreaterThan(50);
  }, 40_000);

  test("of a worker process repeats what it held and loses nothing", async () => {
    const child = startWorkerProcess(redis.url);
    await queue.addMany(jobs(20));
    await eventually(async () => (await queue.counts()).active === 4);
    child.kill("SIGKILL");
    await once(child, "exit");
    const seen: [number, boolean][] = [];
    work(async ({ n }, { isRedelivered, attempt }) => {
      expect(attempt).toBe(1);
      seen.push([n, isRedelivered]);
    });
    await eventually(() => seen.length === 20, 20_000);
    expect(seen.filter(([, isRedelivered]) => isRedelivered)).toHaveLength(4);
    expect(new Set(seen.map(([n]) => n)).size).toBe(20);
  }, 40_000);
});

/** A worker in a process of its own that takes four jobs and never finishes them. */
function startWorkerProcess(url: string): ChildProcess {
  const library = new URL("./index.js", import.meta.url).href;
  const source = `
    const { connectRedis, createIntakeQueue } = await import(${JSON.stringify(library)});
    const drop = () => undefined;
    const log = { debug: drop, info: drop, warn: drop, error: drop };
    const clock = { now: () => Date.now() };
    const store = connectRedis({ url: ${JSON.stringify(url)}, log, clock });
    createIntakeQueue({ store, log, clock }).runIntakeWorker({
      concurrency: 4, gate: async () => undefined, onExhausted: drop, process: () => new Promise(drop),
    });`;
  return spawn(process.execPath, ["--input-type=module", "-e", source], { stdio: "ignore" });
}

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { silentLog, systemClock } from "@outcry/protocol";
import type { RedisStore } from "./connect.js";
import { createDeliveryRows } from "./delivery-rows.js";
import type { RebuildRow, RebuildWriter } from "./rebuild-writer.js";
import { createRunKeeper, readRun, withRebuild } from "./run-marker.js";
import { eventually, startTestRedis, type TestRedis } from "./redis-server.fixture.js";

let redis: TestRedis;
let store: RedisStore;
let other: RedisStore;

beforeAll(async () => {
  redis = await startTestRedis();
  [store, other] = await Promise.all([redis.connect(), redis.connect()]);
}, 20_000);
afterAll(() => redis.remove());
beforeEach(() => store.client.flushall());

const READ = { throughSeq: 3 };

const row = (intentId: string): RebuildRow => ({
  intentId,
  revision: 0,
  targets: ["nod_a"],
  deliveries: [{ state: "pending", attempts: 1 }],
  attempt: 1,
  deadlineMs: 10,
  retryDueMs: 5,
});

/** A promise and its resolver. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

describe("a rebuild", () => {
  test("runs in one process while the others wait, and shows nothing before it is whole", async () => {
    const middle = gate();
    let rebuilds = 0;
    const rebuild = async (write: RebuildWriter) => {
      rebuilds++;
      await write.putRow(row("int_1"));
      await middle.opened;
      await write.putRow(row("int_2"));
      return READ;
    };
    const both = [store, other].map((each) => withRebuild({ store: each, rebuild, log: silentLog }));
    await eventually(async () => (await store.client.exists("dlv:int_1")) === 1);
    expect(await readRun(other)).toBeUndefined();
    middle.open();
    const outcomes = await Promise.all(both);
    expect(outcomes.map(({ kind }) => kind).sort()).toEqual(["rebuilt", "rebuilt_elsewhere"]);
    expect(new Set(outcomes.map(({ runId }) => runId)).size).toBe(1);
    expect(rebuilds).toBe(1);
    const found = await createDeliveryRows({ store, clock: systemClock }).readMany(["int_1", "int_2"]);
    expect(found.map(({ kind }) => kind)).toEqual(["open", "open"]);
    expect((await withRebuild({ store, rebuild, log: silentLog })).kind).toBe("present");
  });

  test("begins in no process that looked for the marker just before another one had finished", async () => {
    const stores = await Promise.all(Array.from({ length: 6 }, () => redis.connect()));
    const shortly = () => new Promise((resolve) => setTimeout(resolve, 4 * Math.random()));
    for (let round = 0; round < 60; round++) {
      await store.client.flushall();
      let rebuilds = 0;
      const rebuild = async () => {
        rebuilds++;
        await shortly();
        return READ;
      };
      const all = stores.map((each) => shortly().then(() => withRebuild({ store: each, rebuild, log: silentLog })));
      await Promise.all(all);
      expect(rebuilds).toBe(1);
    }
  }, 60_000);

  test("is taken over from a holder that died, without the rows that it had written", async () => {
    const stuck = gate();
    const dying = await redis.connect();
    const death = withRebuild({
      store: dying,
      log: silentLog,
      leaseMs: 300,
      rebuild: (write) => write.putRow(row("int_dead")).then(() => stuck.opened.then(() => READ)),
    });
    await eventually(async () => (await store.client.exists("dlv:int_dead")) === 1);
    dying.client.disconnect();
    const outcome = await withRebuild({
      store,
      log: silentLog,
      rebuild: (write) => write.putRow(row("int_live")).then(() => READ),
    });
    expect(outcome.kind).toBe("rebuilt");
    expect(await store.client.exists("dlv:int_dead")).toBe(0);
    expect(await store.client.zrange("due", "0", "-1")).toEqual(["retry:int_live:2", "deadline:int_live"]);
    stuck.open();
    await expect(death).rejects.toMatchObject({ code: "dependency_unavailable" });
  });

  test("starts again when everything is flushed while it runs", async () => {
    let runs = 0;
    const outcome = await withRebuild({
      store,
      log: silentLog,
      async rebuild(write) {
        runs++;
        await write.putRow(row("int_1"));
        if (runs === 1) await other.client.flushall();
        await write.putRow(row("int_2"));
        return READ;
      },
    });
    expect(outcome.kind).toBe("rebuilt");
    expect(runs).toBe(2);
    expect(await store.client.exists("dlv:int_1", "dlv:int_2")).toBe(2);
  });

  test("is not believed when the flush comes after its last write", async () => {
    let runs = 0;
    await withRebuild({
      store,
      log: silentLog,
      async rebuild(write) {
        await write.putRow(row("int_1"));
        if (++runs === 1) await other.client.flushall();
        return READ;
      },
    });
    expect(runs).toBe(2);
    expect(await store.client.exists("dlv:int_1")).toBe(1);
  });

  test("throws what the rebuild itself throws and lets another try at once", async () => {
    const broken = withRebuild({ store, log: silentLog, rebuild: () => Promise.reject(new Error("no record")) });
    await expect(broken).rejects.toThrow("no record");
    expect((await withRebuild({ store: other, log: silentLog, rebuild: async () => READ })).kind).toBe("rebuilt");
  });

  test("is done once for many calls that need it, which then run again", async () => {
    let runs = 0;
    const keeper = createRunKeeper({
      store,
      log: silentLog,
      async rebuild(write) {
        runs++;
        await write.putRow(row("int_1"));
        return READ;
      },
    });
    const rows = createDeliveryRows({ store, clock: systemClock });
    const found = await Promise.all(Array.from({ length: 20 }, () => keeper.during(() => rows.read("int_1"))));
    expect(found.every(({ kind }) => kind === "open")).toBe(true);
    expect(runs).toBe(1);
  });

  test("survives kill -9 of Redis in the middle", async () => {
    let runs = 0;
    const attempt = () =>
      withRebuild({
        store,
        log: silentLog,
        leaseMs: 500,
        async rebuild(write) {
          await write.putRow(row("int_1"));
          if (++runs === 1) {
            await redis.kill9();
            await redis.restart();
            await store.health.whenUp();
          }
          await write.putRow(row("int_2"));
          return READ;
        },
      });
    await attempt().catch(attempt);
    expect(await readRun(store)).toBeDefined();
    expect(await store.client.exists("dlv:int_1", "dlv:int_2")).toBe(2);
  });
});

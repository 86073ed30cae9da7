import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { canMove, DELIVERY_STATES, FINAL_STATES, packDelivery, silentLog, systemClock } from "@outcry/protocol";
import { isRebuildNeeded, type RedisStore } from "./connect.js";
import { createDeliveryRows, type DeliveryRows, type RecordResult } from "./delivery-rows.js";
import { createRun, withRebuild } from "./run-marker.js";
import type { RebuildRow, RebuildWriter } from "./rebuild-writer.js";
import { startTestRedis, type TestRedis } from "./redis-server.fixture.js";
import { createTimers } from "./timers.js";

const NODES = Array.from({ length: 1_000 }, (_, index) => `nod_${String(index).padStart(26, "0")}`);
const DEADLINE = 2_000_000_000_000;
const RETRY = 1_900_000_000_000;

let redis: TestRedis;
let store: RedisStore;
let rows: DeliveryRows;

beforeAll(async () => {
  redis = await startTestRedis();
  store = await redis.connect();
  rows = createDeliveryRows({ store, clock: systemClock });
}, 20_000);
afterAll(() => redis.remove());
beforeEach(async () => {
  await store.client.flushall();
  await createRun(store);
});

const at = (id: string, revision = 0) => ({ id, revision });
const open = (intentId: string, targets = NODES.slice(0, 4)) =>
  rows.open({ intent: at(intentId), seq: 1, targets, deadlineMs: DEADLINE, retryDueMs: RETRY });
const rebuilding =
  (row?: RebuildRow, throughSeq = 0) =>
  async (write: RebuildWriter) => {
    if (row !== undefined) await write.putRow(row);
    return { throughSeq };
  };
const recordOne = async (
  intentId: string,
  ...updates: Parameters<DeliveryRows["record"]>[0][number]["updates"]
): Promise<RecordResult> => (await rows.record([{ intent: at(intentId), updates }]))[0]!;
const timersOf = (intentId: string) =>
  store.client.zrange("due", "0", "-1").then((all) => all.filter((text) => text.includes(intentId)));
const statesOf = async (intentId: string) => {
  const found = await rows.read(intentId);
  return found.kind === "open" ? found.row.deliveries.map(({ state, attempts }) => `${state} ${attempts}`) : found.kind;
};

describe("open", () => {
  test("creates the row and both timers in one step, once", async () => {
    expect(await open("int_a")).toBe("opened");
    expect(await open("int_a", NODES.slice(0, 2))).toBe("exists");
    expect(await rows.read("int_a")).toEqual({
      kind: "open",
      row: {
        intentId: "int_a",
        revision: 0,
        targets: NODES.slice(0, 4),
        deliveries: Array.from({ length: 4 }, () => ({ state: "pending", attempts: 1 })),
        open: 4,
        attempt: 1,
        deadlineMs: DEADLINE,
        ending: undefined,
      },
    });
    expect((await timersOf("int_a")).sort()).toEqual(["deadline:int_a", "retry:int_a:2"]);
  });

  test("is answered ended by a tombstone, which goes by itself", async () => {
    await open("int_a");
    await rows.finishEnd("int_a");
    expect(await open("int_a")).toBe("ended");
    expect(await store.client.pttl("dlv:int_a")).toBeGreaterThan(9 * 60_000);
    expect(await timersOf("int_a")).toEqual([]);
  });
});

describe("record", () => {
  test("follows the protocol's table for every pair of states", async () => {
    for (const from of DELIVERY_STATES) {
      const states = Buffer.alloc(DELIVERY_STATES.length, packDelivery({ state: from, attempts: 15 }));
      const targets = NODES.slice(0, DELIVERY_STATES.length).join("\n");
      const openBefore = FINAL_STATES.has(from) ? 0 : DELIVERY_STATES.length;
      await store.client.hset("dlv:int_t", "t", targets, "s", states, "o", openBefore, "a", 15, "d", DEADLINE);
      const result = await recordOne("int_t", ...DELIVERY_STATES.map((to, index) => ({ index, to })));
      const allowed = DELIVERY_STATES.flatMap((to, index) => (canMove(from, to) ? [{ index, to, from }] : []));
      const after = DELIVERY_STATES.map((to) => (canMove(from, to) ? to : from));
      const openAfter = after.filter((state) => !FINAL_STATES.has(state)).length;
      expect(result).toEqual({ kind: "recorded", applied: allowed, open: openAfter });
      expect(await statesOf("int_t")).toEqual(after.map((state) => `${state} 15`));
    }
  });

  test("takes an ack and a quote of one node in one batch, in their order, among 1,000 nodes", async () => {
    await open("int_b", NODES);
    const result = await recordOne(
      "int_b",
      { index: 999, to: "acked" },
      { index: 300, to: "declined" },
      { index: 999, to: "quoted" },
    );
    expect(result).toEqual({
      kind: "recorded",
      open: 998,
      applied: [
        { index: 300, to: "declined", from: "pending" },
        { index: 999, to: "acked", from: "pending" },
        { index: 999, to: "quoted", from: "acked" },
      ],
    });
    const states = await statesOf("int_b");
    expect([states[0], states[300], states[998], states[999]]).toEqual([
      "pending 1",
      "declined 1",
      "pending 1",
      "quoted 1",
    ]);
  });

  test("changes nothing for an index beyond the targets", async () => {
    await open("int_c");
    expect(await recordOne("int_c", { index: 4, to: "acked" })).toEqual({ kind: "recorded", applied: [], open: 4 });
    expect(await statesOf("int_c")).toHaveLength(4);
  });

  test("sets the end timer when the last open delivery becomes final, and counts a recovered one as open again", async () => {
    await open("int_d", NODES.slice(0, 2));
    await recordOne("int_d", { index: 0, to: "quoted" });
    expect(await timersOf("int_d")).not.toContain("end:int_d");
    expect(await rows.markDead(at("int_d"), [0, 1])).toEqual({
      kind: "recorded",
      applied: [{ index: 1, to: "dead", from: "pending" }],
      open: 0,
    });
    expect(await timersOf("int_d")).toContain("end:int_d");
    expect(await recordOne("int_d", { index: 1, to: "acked" })).toEqual({
      kind: "recorded",
      applied: [{ index: 1, to: "acked", from: "dead" }],
      open: 1,
    });
  });

  test("takes the retry timer away with the last answer to the first attempt", async () => {
    await open("int_e", NODES.slice(0, 3));
    await recordOne("int_e", { index: 0, to: "acked" }, { index: 2, to: "rejected" });
    expect(await timersOf("int_e")).toContain("retry:int_e:2");
    await recordOne("int_e", { index: 1, to: "quoted" });
    expect(await timersOf("int_e")).toEqual(["deadline:int_e"]);
  });

  test("leaves the retry timer to whoever gives up a node: its dead letter may still be missing", async () => {
    await open("int_f", NODES.slice(0, 2));
    await recordOne("int_f", { index: 0, to: "acked" });
    await rows.markDead(at("int_f"), [1]);
    expect(await timersOf("int_f")).toContain("retry:int_f:2");
  });

  test("leaves the retry timer of a later attempt in place", async () => {
    await open("int_g", NODES.slice(0, 2));
    await rows.beginAttempt(at("int_g"), 2, [0, 1], RETRY);
    await recordOne("int_g", { index: 0, to: "acked" }, { index: 1, to: "acked" });
    expect(await timersOf("int_g")).toContain("retry:int_g:3");
  });

  test("an attempt by hand is counted for a dead delivery alone, and drives no retry", async () => {
    await open("int_r", NODES.slice(0, 2));
    expect(await rows.beginReplay(at("int_r"), 0, 4)).toBe("answered"); // pending: its attempts are the service's own
    await rows.markDead(at("int_r"), [0]);
    expect(await rows.beginReplay(at("int_r"), 0, 4)).toBe("begun");
    expect(await rows.beginReplay(at("int_r"), 0, 4)).toBe("begun"); // told twice, counted once
    const found = await rows.read("int_r");
    if (found.kind !== "open") throw new Error(found.kind);
    expect(found.row.deliveries[0]).toEqual({ state: "dead", attempts: 4 });
    expect(found.row.attempt).toBe(1);
    await recordOne("int_r", { index: 0, to: "acked" });
    expect(await rows.beginReplay(at("int_r"), 0, 5)).toBe("answered");
    await rows.markDead(at("int_r"), [1]);
    await rows.beginEnding(at("int_r"), { outcome: "closed", by: "bkd_x", atMs: 1 });
    expect(await rows.beginReplay(at("int_r"), 1, 5)).toBe("ending");
    await rows.finishEnd("int_r");
    expect(await rows.beginReplay(at("int_r"), 1, 5)).toBe("ended");
    expect(await rows.beginReplay(at("int_none"), 0, 5)).toBe("unknown");
  });

  test("answers each intent of a pipeline on its own: known, unknown, ending, ended", async () => {
    await Promise.all([open("int_1"), open("int_2"), open("int_3")]);
    await rows.beginEnding(at("int_2"), { outcome: "closed", by: "bkd_x", atMs: 1 });
    await rows.finishEnd("int_3");
    const batch = ["int_1", "int_0", "int_2", "int_3"].map((intentId) => ({
      intent: at(intentId),
      updates: [{ index: 0, to: "acked" as const }],
    }));
    expect((await rows.record(batch)).map(({ kind }) => kind)).toEqual(["recorded", "unknown", "ending", "ended"]);
  });

  test("survives a script cache that Redis has forgotten in mid-pipeline", async () => {
    await open("int_e");
    await store.client.script("FLUSH");
    expect(await recordOne("int_e", { index: 1, to: "acked" })).toMatchObject({ kind: "recorded", open: 4 });
  });
});

describe("attempts", () => {
  test("marks those still pending, tells who they are and sets the next timer", async () => {
    await open("int_f");
    await recordOne("int_f", { index: 2, to: "acked" });
    expect(await rows.pending("int_f")).toMatchObject({
      kind: "open",
      attempt: 1,
      pending: [0, 1, 3].map((index) => ({ index, node: NODES[index] })),
    });
    expect(await rows.beginAttempt(at("int_f"), 2, [3, 2, 0, 1], RETRY + 1)).toEqual({
      kind: "begun",
      indexes: [0, 1, 3],
    });
    expect(await statesOf("int_f")).toEqual(["pending 2", "pending 2", "acked 1", "pending 2"]);
    expect(await store.client.zscore("due", "retry:int_f:3")).toBe(String(RETRY + 1));
  });

  test("repeats an attempt without moving the next one, and refuses one that was overtaken", async () => {
    await open("int_g");
    await rows.beginAttempt(at("int_g"), 2, [0, 1], RETRY + 1);
    expect(await rows.beginAttempt(at("int_g"), 2, [0, 1], RETRY + 9)).toEqual({ kind: "begun", indexes: [0, 1] });
    expect(await store.client.zscore("due", "retry:int_g:3")).toBe(String(RETRY + 1));
    await rows.beginAttempt(at("int_g"), 3, [0], RETRY + 2);
    expect(await rows.beginAttempt(at("int_g"), 2, [1], RETRY + 9)).toEqual({ kind: "superseded" });
  });
});

describe("the end", () => {
  test("has one winner, whose snapshot nothing changes any more", async () => {
    await open("int_h");
    await recordOne("int_h", { index: 0, to: "acked" });
    const endings = await Promise.all(
      (["closed", "expired", "cancelled"] as const).map((outcome) =>
        rows.beginEnding(at("int_h"), { outcome, by: outcome, atMs: 7 }),
      ),
    );
    expect(endings.filter((ending) => ending.kind === "ending" && ending.won)).toHaveLength(1);
    expect(new Set(endings.map((ending) => ending.kind === "ending" && ending.row.ending.outcome)).size).toBe(1);
    expect(await recordOne("int_h", { index: 1, to: "acked" })).toEqual({ kind: "ending" });
    expect(await rows.beginAttempt(at("int_h"), 2, [1], RETRY)).toEqual({ kind: "ending" });
    expect((await rows.isEnding("int_h")).ending).toBe(true);
    expect(await timersOf("int_h")).toContain("end:int_h");
  });

  test("is asked for once by all who ask in one turn, and anew by later ones", async () => {
    await open("int_m");
    const scripts = async () => /cmdstat_evalsha:calls=(\d+)/.exec(await store.client.info("commandstats"))?.[1] ?? "0";
    await rows.isEnding("int_m"); // the script is loaded
    const before = Number(await scripts());
    const asked = await Promise.all(Array.from({ length: 50 }, () => rows.isEnding("int_m")));
    expect(new Set(asked.map(({ ending }) => ending))).toEqual(new Set([false]));
    expect(Number(await scripts())).toBe(before + 1);
    await rows.beginEnding(at("int_m"), { outcome: "closed", by: "x", atMs: 7 });
    expect((await rows.isEnding("int_m")).ending).toBe(true);
  });

  test("leaves a tombstone that answers ended to all", async () => {
    await open("int_i");
    await rows.finishEnd("int_i");
    await rows.finishEnd("int_i");
    expect(await rows.read("int_i")).toEqual({ kind: "ended" });
    expect(await rows.beginEnding(at("int_i"), { outcome: "closed", by: "x", atMs: 1 })).toEqual({ kind: "ended" });
    expect((await rows.isEnding("int_i")).ending).toBe(true);
    expect((await rows.isEnding("int_none")).ending).toBeUndefined();
  });
});

describe("an amended intent", () => {
  const reopen = (id: string, revision: number) =>
    rows.open({
      intent: at(id, revision),
      seq: 1 + revision,
      targets: NODES.slice(0, 2),
      deadlineMs: DEADLINE + 1,
      retryDueMs: RETRY + 1,
    });

  test("begins anew in one step: states, attempts, deadline and timers are those of the new revision", async () => {
    await open("int_v", NODES.slice(0, 2));
    await rows.beginAttempt(at("int_v"), 2, [0, 1], RETRY);
    await recordOne("int_v", { index: 0, to: "declined" }, { index: 1, to: "quoted" });
    expect(await timersOf("int_v")).toContain("end:int_v");
    expect(await reopen("int_v", 1)).toBe("opened");
    expect(await rows.read("int_v")).toMatchObject({
      row: { revision: 1, open: 2, attempt: 1, deadlineMs: DEADLINE + 1, ending: undefined },
    });
    expect(await statesOf("int_v")).toEqual(["pending 1", "pending 1"]);
    expect((await timersOf("int_v")).sort()).toEqual(["deadline:int_v", "retry:int_v:2"]);
    expect(await reopen("int_v", 1)).toBe("exists");
    expect(await open("int_v", NODES.slice(0, 2))).toBe("superseded");
  });

  test("takes no answer, attempt or replay of another revision", async () => {
    await open("int_w", NODES.slice(0, 2));
    await reopen("int_w", 2);
    for (const revision of [0, 1, 3]) {
      const stale = at("int_w", revision);
      expect(await rows.record([{ intent: stale, updates: [{ index: 0, to: "acked" }] }])).toEqual([
        { kind: "superseded" },
      ]);
      expect(await rows.beginAttempt(stale, 2, [0], RETRY)).toEqual({ kind: "superseded" });
      expect(await rows.beginReplay(stale, 0, 4)).toBe("superseded");
      expect(await rows.markDead(stale, [0])).toEqual({ kind: "superseded" });
    }
    expect(await statesOf("int_w")).toEqual(["pending 1", "pending 1"]);
    expect(await rows.statesOf(["int_w"])).toMatchObject([{ revision: 2, ending: false }]);
    expect(await rows.isEnding("int_w")).toEqual({ ending: false, revision: 2 });
  });

  test("forgets an ending of an earlier revision, which the record refuses, and keeps one of its own", async () => {
    const ending = { outcome: "closed", by: "x", atMs: 1 } as const;
    await open("int_x", NODES.slice(0, 2));
    await rows.beginEnding(at("int_x"), ending);
    expect(await reopen("int_x", 1)).toBe("opened");
    expect(await rows.isEnding("int_x")).toEqual({ ending: false, revision: 1 });
    expect(await rows.beginEnding(at("int_x"), ending)).toEqual({ kind: "superseded" });

    // By somebody who knows of revision 2 before its row began anew: that ending will be recorded.
    await rows.beginEnding(at("int_x", 2), { ...ending, by: "knows 2" });
    expect(await reopen("int_x", 2)).toBe("ending");
    expect(await rows.isEnding("int_x")).toEqual({ ending: true, revision: 1 });
  });

  test("replaces an ending that a later revision made void, and no other", async () => {
    await open("int_y", NODES.slice(0, 2));
    await rows.beginEnding(at("int_y"), { outcome: "expired", by: "deadline", atMs: 1 });
    const begun = await rows.beginEnding(at("int_y", 1), { outcome: "cancelled", by: "bkd_x", atMs: 2 });
    expect(begun).toMatchObject({ won: true, row: { revision: 0, ending: { outcome: "cancelled" } } });
    const later = await rows.beginEnding(at("int_y", 1), { outcome: "closed", by: "bkd_y", atMs: 3 });
    expect(later).toMatchObject({ won: false, row: { ending: { outcome: "cancelled" } } });
  });
});

describe("lost data", () => {
  test("every verb refuses to work without the run marker", async () => {
    await open("int_j");
    await store.client.flushall();
    const timers = createTimers(store);
    const verbs: (() => Promise<unknown>)[] = [
      () => open("int_j"),
      () => recordOne("int_j", { index: 0, to: "acked" }),
      () => rows.pending("int_j"),
      () => rows.beginAttempt(at("int_j"), 2, [0], RETRY),
      () => rows.markDead(at("int_j"), [0]),
      () => rows.beginReplay(at("int_j"), 0, 4),
      () => rows.read("int_j"),
      () => rows.beginEnding(at("int_j"), { outcome: "closed", by: "x", atMs: 1 }),
      () => rows.isEnding("int_j"),
      () => rows.finishEnd("int_j"),
      () => timers.claimDue(1, 1, 1),
      () => timers.schedule({ kind: "end", intentId: "int_j" }, 1),
      () => timers.ensure({ kind: "replay", intentId: "rpl_j" }, 1),
      () => timers.nextDue(),
    ];
    for (const verb of verbs) expect(await verb().catch(isRebuildNeeded)).toBe(true);
    expect(await store.client.dbsize()).toBe(0);
  });

  test("rows written by a rebuild equal the rows that were lost, with timers for what is open", async () => {
    await open("int_k");
    await rows.beginAttempt(at("int_k"), 2, [0, 1], RETRY);
    await recordOne("int_k", { index: 3, to: "quoted" });
    const before = await rows.read("int_k");
    if (before.kind !== "open") throw new Error("no row");
    await store.client.flushall();
    await withRebuild({ store, log: silentLog, rebuild: rebuilding({ ...before.row, retryDueMs: 5 }) });
    expect(await rows.read("int_k")).toEqual(before);
    expect((await timersOf("int_k")).sort()).toEqual(["deadline:int_k", "retry:int_k:3"]);
  });

  test("a row written by a rebuild leaves it to the record whether its intent has ended, until an ending begins anew", async () => {
    await open("int_l");
    expect((await rows.isEnding("int_l")).ending).toBe(false);
    await rows.beginEnding(at("int_l"), { outcome: "closed", by: "x", atMs: 1 });
    const lost = await rows.read("int_l");
    if (lost.kind !== "open") throw new Error("no row");
    await store.client.flushall();
    const { ending: _lost, ...row } = lost.row;
    await withRebuild({ store, log: silentLog, rebuild: rebuilding({ ...row, retryDueMs: 5 }) });
    expect((await rows.isEnding("int_l")).ending).toBeUndefined();
    await rows.beginEnding(at("int_l"), { outcome: "closed", by: "y", atMs: 2 });
    expect((await rows.isEnding("int_l")).ending).toBe(true);
  });

  test("what was recorded before a rebuild is opened as unsure: of its end no tombstone tells", async () => {
    await store.client.flushall();
    await withRebuild({ store, log: silentLog, rebuild: rebuilding(undefined, 7) });
    const openAt = (id: string, seq: number) =>
      rows.open({ intent: at(id), seq, targets: NODES.slice(0, 2), deadlineMs: DEADLINE, retryDueMs: RETRY });
    expect(await openAt("int_m", 7)).toBe("unsure");
    expect(await openAt("int_m", 7)).toBe("exists");
    expect((await rows.isEnding("int_m")).ending).toBeUndefined();
    expect(await openAt("int_n", 8)).toBe("opened");
    expect((await rows.isEnding("int_n")).ending).toBe(false);
    await rows.finishEnd("int_m");
    expect(await openAt("int_m", 7)).toBe("ended");
  });
});

import { OutcryError } from "@outcry/protocol";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { createAppender } from "./append.js";
import type { Appended, Appender } from "./append.js";
import type { Backbone } from "./connect.js";
import { bytes, eventually, makeStream, startNats, text } from "./nats-server.fixture.js";
import type { TestServer } from "./nats-server.fixture.js";
import { getLast, readAll } from "./read.js";

let server: TestServer;
let backbone: Backbone;
let appender: Appender;
beforeEach(async () => {
  server = await startNats();
  backbone = await server.connect();
  await makeStream(backbone, "T", ["t.>"], { max_bytes: 50_000_000 });
  appender = createAppender(backbone, { stream: "T" });
});
afterEach(() => server.remove());

const first = (subject: string, more: { msgId?: string; body?: string } = {}): Promise<Appended> =>
  appender.append({
    subject,
    data: bytes(more.body ?? subject),
    expectFirst: true,
    ...(more.msgId === undefined ? {} : { msgId: more.msgId }),
  });

async function stored(filter = "t.>"): Promise<string[]> {
  const all: string[] = [];
  for await (const message of readAll(backbone, "T", { filter })) all.push(text(message.data));
  return all;
}

const settled = (work: Promise<Appended>[]): Promise<string[]> =>
  Promise.all(
    work.map((one) =>
      one.then(
        (outcome) => outcome.kind,
        (error: unknown) => (error as OutcryError).code,
      ),
    ),
  );

describe("appending one by one", () => {
  test("says at which sequence it is stored, and what is there already", async () => {
    expect(await first("t.a")).toEqual({ kind: "appended", seq: 1 });
    expect(await first("t.a")).toEqual({ kind: "exists", lastSeq: 1 });
    expect(await appender.append({ subject: "t.a", data: bytes("2"), expectLast: { seq: 1 } })).toEqual({
      kind: "appended",
      seq: 2,
    });
    expect(await appender.append({ subject: "t.a", data: bytes("3"), expectLast: { seq: 1 } })).toEqual({
      kind: "exists",
      lastSeq: 2,
    });
    expect(await appender.append({ subject: "t.b", data: bytes("4"), expectLast: { seq: 9 } })).toEqual({
      kind: "exists",
      lastSeq: 0,
    });
  });

  test("tells a repeated message id", async () => {
    const entry = { subject: "t.a", data: bytes("1"), msgId: "once" };
    expect(await appender.append(entry)).toEqual({ kind: "appended", seq: 1 });
    expect(await appender.append(entry)).toEqual({ kind: "duplicate", seq: 1 });
  });

  test("lets one of two writers through when both expect the same wildcard", async () => {
    const end = (name: string) =>
      appender.append({ subject: `t.x.${name}`, data: bytes(name), expectFirst: { filter: "t.x.>" } });
    expect((await settled([end("end"), end("rev")])).toSorted()).toEqual(["appended", "exists"]);
    expect(await stored()).toHaveLength(1);
  });

  test("refuses Nats-* headers and broken ones without troubling the others", async () => {
    const bad = appender.append({ subject: "t.bad", data: bytes("x"), headers: { a: "1\r\n2" } });
    const steering = appender.append({ subject: "t.bad", data: bytes("x"), headers: { "nats-rollup": "all" } });
    const large = appender.append({ subject: "t.bad", data: new Uint8Array(2_000_000) });
    const good = Array.from({ length: 20 }, (_, index) => first(`t.good.${index}`));
    await expect(bad).rejects.toThrow(TypeError);
    await expect(steering).rejects.toThrow(TypeError);
    await expect(large).rejects.toThrow("json_too_large");
    expect(new Set(await settled(good))).toEqual(new Set(["appended"]));
  });

  test("names a subject that no stream covers", async () => {
    await expect(appender.append({ subject: "elsewhere", data: bytes("x") })).rejects.toThrow(
      "no stream covers elsewhere",
    );
  });
});

describe("appending in batches", () => {
  test("gives each entry its own sequence, in order", async () => {
    const outcomes = await Promise.all(Array.from({ length: 1_200 }, (_, index) => first(`t.${index}`)));
    expect(outcomes.map((outcome) => (outcome.kind === "appended" ? outcome.seq : 0))).toEqual(
      Array.from({ length: 1_200 }, (_, index) => index + 1),
    );
    expect(await stored()).toEqual(Array.from({ length: 1_200 }, (_, index) => `t.${index}`));
    const last = await getLast(backbone, "T", "t.1199");
    expect(last?.headers.last("Nats-Batch-Id")).toBeDefined(); // they did travel in batches
  });

  test("takes out the entries whose expectation fails and stores the rest", async () => {
    for (const taken of ["t.3", "t.17", "t.44"]) await first(taken, { body: "before" });
    const kinds = await settled(Array.from({ length: 60 }, (_, index) => first(`t.${index}`)));
    expect(kinds.map((kind, index) => (kind === "exists" ? index : -1)).filter((index) => index >= 0)).toEqual([
      3, 17, 44,
    ]);
    expect(await stored()).toHaveLength(60);
  });

  test("settles a batch that is wholly a repetition", async () => {
    const names = Array.from({ length: 100 }, (_, index) => `t.${index}`);
    await Promise.all(names.map((name) => first(name)));
    expect(new Set(await settled(names.map((name) => first(name))))).toEqual(new Set(["exists"]));
    expect(await stored()).toHaveLength(100);
  });

  test("finds the repeated message ids by halving", async () => {
    await Promise.all(
      ["t.5", "t.31"].map((name) => appender.append({ subject: name, data: bytes("before"), msgId: name })),
    );
    const kinds = await settled(
      Array.from({ length: 40 }, (_, index) =>
        appender.append({ subject: `t.${index}`, data: bytes("x"), msgId: `t.${index}` }),
      ),
    );
    expect(kinds.filter((kind) => kind === "duplicate")).toHaveLength(2);
    expect([kinds[5], kinds[31]]).toEqual(["duplicate", "duplicate"]);
    expect(await stored()).toHaveLength(40);
  });

  test("stores one of many that want to be first on the same subject", async () => {
    const kinds = await settled(
      Array.from({ length: 50 }, (_, index) => first(index % 2 === 0 ? "t.same" : `t.${index}`)),
    );
    expect(kinds.filter((kind) => kind === "appended")).toHaveLength(26);
    expect(kinds[0]).toBe("appended");
    expect(await stored("t.same")).toHaveLength(1);
  });

  test("never stores both an end and a revision that exclude each other through a wildcard", async () => {
    const work = Array.from({ length: 40 }, (_, index) => {
      const intent = `t.intent.${Math.floor(index / 2)}`;
      return appender.append({
        subject: `${intent}.${index % 2 === 0 ? "end" : "rev"}`,
        data: bytes("x"),
        expectFirst: { filter: `${intent}.>` },
      });
    });
    const kinds = await settled(work);
    expect(kinds.filter((kind) => kind === "appended")).toHaveLength(20);
    expect(await stored()).toHaveLength(20);
  });

  test("keeps the order of entries on one subject, also around a conflict", async () => {
    const work: Promise<Appended>[] = [];
    for (let index = 0; index < 90; index++)
      work.push(appender.append({ subject: "t.log", data: bytes(`log ${index}`) }));
    for (let index = 0; index < 30; index++)
      work.push(first("t.once"), appender.append({ subject: "t.log", data: bytes(`more ${index}`) }));
    await Promise.all(work);
    expect(await stored("t.log")).toEqual([
      ...Array.from({ length: 90 }, (_, index) => `log ${index}`),
      ...Array.from({ length: 30 }, (_, index) => `more ${index}`),
    ]);
  });

  test("says record_full when the stream is full, one by one and in batches", async () => {
    await makeStream(backbone, "SMALL", ["s.>"], { max_bytes: 20_000 });
    const small = createAppender(backbone, { stream: "SMALL" });
    const fill = (count: number, from: number) =>
      settled(
        Array.from({ length: count }, (_, index) =>
          small.append({ subject: `s.${from + index}`, data: new Uint8Array(1_000) }),
        ),
      );
    const one = await fill(12, 0);
    expect(new Set([...one, ...(await fill(12, 100))])).toEqual(new Set(["appended", "record_full"]));
    expect(new Set(await fill(50, 200))).toEqual(new Set(["record_full"]));
  });
});

describe("appending while earlier entries are under way", () => {
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const some = (count: number, prefix: string) =>
    Array.from({ length: count }, (_, index) => first(`${prefix}.${index}`));

  test("sends a few behind them at once, lets more wait, and many of them go as a batch", async () => {
    server.pause();
    const work = some(9, "t.early");
    await turn();
    work.push(...some(3, "t.soon"));
    await turn();
    expect(appender.queued).toBe(0); // twelve singles are under way
    work.push(...some(12, "t.later"));
    await turn();
    expect(appender.queued).toBe(12);
    work.push(...some(1, "t.last"));
    await turn();
    expect(appender.queued).toBe(0); // thirteen are a batch
    work.push(...some(20, "t.behind"));
    await turn();
    expect(appender.queued).toBe(20); // one batch at a time
    server.resume();
    expect(new Set(await settled(work))).toEqual(new Set(["appended"]));
  });

  test("keeps back an entry that excludes one of them", async () => {
    server.pause();
    const expectFirst = { filter: "t.x.>" };
    const end = appender.append({ subject: "t.x.end", data: bytes("end"), expectFirst });
    await turn();
    const rev = appender.append({ subject: "t.x.rev", data: bytes("rev"), expectFirst });
    await turn();
    expect(appender.queued).toBe(1);
    server.resume();
    expect(await settled([end, rev])).toEqual(["appended", "exists"]);
  });
});

describe("appending while the server is killed", () => {
  test("loses nothing that was acknowledged, and a repetition settles what is unknown", async () => {
    const names = Array.from({ length: 3_000 }, (_, index) => `t.${index}`);
    const outcomes = new Map<string, Appended | OutcryError>();
    const load = names.map(async (name, index) => {
      await new Promise((resolve) => setTimeout(resolve, index / 4));
      outcomes.set(name, await first(name).catch((error: unknown) => error as OutcryError));
    });
    await eventually(() => outcomes.size > 300);
    await server.kill9();
    await server.restart();
    await backbone.health.whenUp();
    await Promise.all(load);

    const acknowledged = names.filter((name) => !(outcomes.get(name) instanceof OutcryError));
    const unknown = names.filter((name) => outcomes.get(name) instanceof OutcryError);
    expect(acknowledged.length).toBeGreaterThan(0);
    expect(unknown.length).toBeGreaterThan(0);
    for (const name of unknown) expect((outcomes.get(name) as OutcryError).temporary).toBe(true);

    const there = new Set(await stored());
    expect(acknowledged.filter((name) => !there.has(name))).toEqual([]);
    const repeated = await settled(unknown.map((name) => first(name)));
    expect(repeated.filter((kind) => kind !== "appended" && kind !== "exists")).toEqual([]);
    expect((await stored()).toSorted()).toEqual(names.toSorted());
    expect(appender.queued).toBe(0);
  });
});

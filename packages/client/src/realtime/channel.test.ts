import { describe, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { type CursorStore, localStorageCursors, memoryCursors } from "./cursor-store.js";
import { REALTIME_LIMITS } from "./limits.js";
import { Bench, eventually, namesOf, Reader, take } from "./realtime.fixture.js";
import type { RealtimeError } from "./realtime-error.js";

const bench = Bench.forEachTest();

describe("listeners", () => {
  test("get events one after the other, those of a type narrowed, and everything else by its name", async () => {
    bench.gateway.append("QUOTE_RECEIVED", "INTENT_CLOSED");
    const seen: string[] = [];
    const channel = bench.follow({ cursor: "c0" });
    channel.on("event", async (event) => {
      seen.push(`begin ${event.type}`);
      await sleep(20);
      seen.push(`end ${event.type}`);
      // @ts-expect-error -- which type it is decides which data it has
      void event.data.total;
      if (event.type === "QUOTE_RECEIVED") void event.data.total;
    });
    channel.on("QUOTE_RECEIVED", (event, { cursor }) => {
      void event.data.total?.amount_minor;
      seen.push(`quote ${cursor}`);
    });
    channel.on("recovered", ({ events }) => seen.push(`recovered ${events}`));
    channel.on("gap", ({ reason }) => seen.push(`gap ${reason}`));
    channel.on("end", ({ code }) => seen.push(`end ${code}`));
    await eventually(() => seen.includes("recovered 2"));
    bench.gateway.broadcast({ ch: "intent:a", reset: { reason: "epoch", c: "c9" } });
    bench.gateway.broadcast({ ch: "intent:a", end: { code: "channel_forbidden" } });
    await eventually(() => seen.includes("end channel_forbidden"));
    expect(seen).toEqual([
      "begin QUOTE_RECEIVED",
      "end QUOTE_RECEIVED",
      "quote c1",
      "begin INTENT_CLOSED",
      "end INTENT_CLOSED",
      "recovered 2",
      "gap epoch",
      "end channel_forbidden",
    ]);
    // @ts-expect-error -- no intent's channel carries it
    channel.on("QUOTE_REFUSED", () => undefined);
  });

  test("that are taken away hear nothing more", async () => {
    const channel = bench.follow();
    const [kept, away]: [string[], string[]] = [[], []];
    channel.on("event", ({ type }) => kept.push(type));
    const off = channel.on("event", ({ type }) => away.push(type));
    await channel.ready();
    bench.gateway.append("A");
    await eventually(() => kept.length === 1);
    off();
    bench.gateway.append("B");
    await eventually(() => kept.length === 2);
    expect(away).toEqual(["A"]);
  });

  test("of a channel that a loop reads, or the other way round, are a mistake that is told", async () => {
    const read = bench.follow();
    read[Symbol.asyncIterator]();
    expect(() => read.on("event", () => undefined)).toThrow("channel_in_use");
    expect(() => read[Symbol.asyncIterator]()).toThrow("channel_in_use");
    read.on("error", () => undefined); // goes with both
    const heard = bench.follow();
    heard.on("gap", () => undefined);
    expect(() => heard[Symbol.asyncIterator]()).toThrow("channel_in_use");
  });

  test("that throw end the channel with their error, and the message counts as not dealt with", async () => {
    bench.gateway.append("A", "B", "C");
    const cursors = memoryCursors();
    const realtime = bench.connect({ cursors });
    const channel = realtime.channel("intent:a", { from: "start" });
    const errors: RealtimeError[] = [];
    const seen: string[] = [];
    channel.on("error", (error) => errors.push(error));
    const fault = new Error("no room");
    channel.on("event", ({ type }) => {
      if ((type as string) === "B") throw fault;
      seen.push(type);
    });
    await eventually(() => errors.length === 1);
    expect(errors[0]).toMatchObject({ code: "listener_failed", cause: fault, channel: "intent:a", temporary: false });
    await channel.close();
    expect([seen, cursors.get("intent:a")]).toEqual([["A"], "c1"]);
    expect(namesOf(await take(realtime.channel("intent:a"), 3))).toEqual(["B", "C", "recovered"]);
  });
});

describe("a cursor", () => {
  test("is saved when the handler has returned, not before", async () => {
    bench.gateway.append("A", "B");
    const saved: string[] = [];
    const store: CursorStore = { get: () => undefined, set: (_, cursor) => void saved.push(cursor) };
    const done: (() => void)[] = [];
    const handle = () => new Promise<void>((resolve) => done.push(resolve));
    bench.follow({ from: "start" }, { cursors: store }).on("event", handle);
    await eventually(() => done.length === 1);
    await sleep(50);
    expect(saved).toEqual(["c0"]);
    done[0]!();
    await eventually(() => done.length === 2);
    expect(saved).toEqual(["c0", "c1"]);
    done[1]!();
    await eventually(() => saved.length === 3);
    expect(saved).toEqual(["c0", "c1", "c2"]);
  });

  test("of a loop is saved when the next message is asked for; a loop that is left repeats the one it was left at", async () => {
    bench.gateway.append("A", "B", "C");
    const cursors = memoryCursors();
    const realtime = bench.connect({ cursors });
    for await (const message of realtime.channel("intent:a", { from: "start" }))
      if (message.kind === "event" && (message.event.type as string) === "B") break;
    expect(cursors.get("intent:a")).toBe("c1");
    expect(namesOf(await take(realtime.channel("intent:a"), 2))).toEqual(["B", "C"]);
  });

  test("survives in localStorage, under a prefix", async () => {
    const items = new Map<string, string>();
    const storage = {
      getItem: (key: string) => items.get(key) ?? null,
      setItem: (key: string, value: string) => void items.set(key, value),
    };
    bench.gateway.append("A", "B");
    const reader = new Reader(bench.follow({ from: "start" }, { cursors: localStorageCursors("me:", storage) }));
    await reader.take(2);
    expect([...items]).toEqual([["me:intent:a", "c1"]]);
    const reloaded = bench.follow({ from: "start" }, { cursors: localStorageCursors("me:", storage) });
    expect(namesOf(await take(reloaded, 2))).toEqual(["B", "recovered"]);
    expect(() => localStorageCursors()).toThrow("no localStorage");
  });

  test("store that is slow gets the newest, in order, and close() waits for it", async () => {
    const names = Array.from({ length: 50 }, (_, index) => `E${index}`);
    bench.gateway.append(...names);
    const saved: string[] = [];
    const store: CursorStore = {
      get: async () => undefined,
      set: async (_, cursor) => {
        await sleep(20);
        saved.push(cursor);
      },
    };
    const channel = bench.follow({ from: "start" }, { cursors: store });
    let heard = 0;
    channel.on("event", () => heard++);
    await eventually(() => channel.cursor === "c50");
    await channel.close();
    expect(heard).toBe(50);
    expect(saved.at(-1)).toBe("c50");
    expect(saved.length).toBeLessThan(10);
  });

  test("store that fails is told of: a read is the channel's end, a write only repeats more behind a crash", async () => {
    const unreadable: CursorStore = { get: () => Promise.reject(new Error("locked")), set: () => undefined };
    await expect(bench.follow({}, { cursors: unreadable }).ready()).rejects.toMatchObject({ code: "cursor_not_read" });
    const full: CursorStore = {
      get: () => undefined,
      set: () => {
        throw new Error("quota");
      },
    };
    bench.gateway.append("A", "B");
    const channel = bench.follow({ from: "start" }, { cursors: full });
    expect(namesOf(await take(channel, 2))).toEqual(["A", "B"]);
    expect(bench.errors).toMatchObject([{ code: "cursor_not_saved", temporary: true, channel: "intent:a" }]);
  });
});

describe("a slow reader", () => {
  test("loses nothing: its channel is left at the gateway until half is read, the others go on", async () => {
    const bufferMax = 100;
    const names = Array.from({ length: 1_050 }, (_, index) => `E${index}`);
    bench.gateway.append(...names);
    const realtime = bench.connect();
    const slow = realtime.channel("intent:slow", { from: "start", bufferMax });
    const fast = realtime.channel("intent:fast", { from: "start" });
    const reading = take(fast, 1_051);
    await eventually(() => bench.gateway.commands.some(({ op, ch }) => op === "unsub" && ch === "intent:slow"));
    await sleep(2 * REALTIME_LIMITS.pausedAtLeastMs);
    const subs = () => bench.gateway.commands.filter(({ op, ch }) => op === "sub" && ch === "intent:slow").length;
    expect(subs()).toBe(1); // nobody has read yet
    bench.gateway.append("LIVE");
    expect(namesOf(await reading)).toEqual([...names, "LIVE"]);
    expect(namesOf(await take(slow, 1_051))).toEqual([...names, "LIVE"]); // and no word of it
    expect(subs()).toBeGreaterThan(5);
    expect(bench.gateway.connections).toBe(1);
  }, 20_000);

  test("that pauses over a reconnect resumes where it was", async () => {
    const names = Array.from({ length: 50 }, (_, index) => `E${index}`);
    bench.gateway.append(...names);
    const reader = new Reader(bench.follow({ from: "start", bufferMax: 20 }));
    await eventually(() => bench.gateway.commands.some(({ op }) => op === "unsub"));
    bench.gateway.cutAll();
    await bench.opened(2);
    const messages = await reader.take(51);
    expect(namesOf(messages).filter((name) => name !== "recovered")).toEqual(names);
  });
});

describe("the end", () => {
  test("is a signal's, with its reason, or close()'s, without one; what was not read is dropped", async () => {
    bench.gateway.append("A", "B", "C");
    const controller = new AbortController();
    const aborted = bench.follow({ from: "start", signal: controller.signal });
    const reader = new Reader(aborted);
    await reader.take(1);
    controller.abort(new Error("enough"));
    await expect(reader.take(1)).rejects.toThrow("enough");
    await expect(aborted.ready()).resolves.toBeUndefined();
    await expect(take(bench.follow({ signal: AbortSignal.abort(new Error("before")) }), 1)).rejects.toThrow("before");

    const whole = new AbortController();
    const followed = bench.follow({ from: "start" }, { signal: whole.signal });
    const next = new Reader(followed);
    await next.take(1);
    whole.abort(new Error("all of it"));
    await expect(next.take(1)).rejects.toThrow("all of it");

    const closed = bench.follow({ from: "start" });
    const last = new Reader(closed);
    await last.take(1);
    await closed.close();
    expect(await last.take(1)).toEqual([]);
    const never = bench.follow();
    const refused = never.ready().catch((error: unknown) => error);
    await never.close();
    expect(await refused).toMatchObject({ code: "closed" });
    await eventually(() => bench.gateway.openNow === 0);
  });

  test("leaves no timer behind that would keep a program alive, also when messages are under way as it ends", async () => {
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    const before = timers();
    for (let round = 0; round < 20; round++) {
      const realtime = bench.connect();
      const channel = realtime.channel("intent:a", { from: "start" });
      bench.gateway.append("A");
      await take(channel, 1);
      for (let more = 0; more < 50; more++) bench.gateway.append("B");
      await realtime.close();
    }
    await sleep(100); // shorter than the silence that ends a connection
    expect(timers()).toBeLessThanOrEqual(before + 1); // this test's own
  });
});

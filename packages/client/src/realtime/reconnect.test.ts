import { describe, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { toRfc3339 } from "@outcry/protocol";
import type { RealtimeStatus } from "./channel-types.js";
import { REALTIME_LIMITS } from "./limits.js";
import { Bench, eventually, namesOf, Reader, take } from "./realtime.fixture.js";

const bench = Bench.forEachTest();

const waits = () =>
  bench.states("reconnecting").map((status) => (status as RealtimeStatus & { state: "reconnecting" }).inMs);
const closed = async () => {
  await eventually(() => bench.states("closed").length > 0);
  return bench.states("closed")[0] as RealtimeStatus & { state: "closed" };
};

describe("coming back", () => {
  test("waits by full jitter: random between 0 and min(cap, base · 2ⁿ)", async () => {
    const randoms = [0.5, 0.999, 0, 0.25, 0.5, 0.5];
    await bench.gateway.close();
    let nth = 0;
    const backoff = { baseMs: 20, capMs: 100 };
    bench.follow({}, { backoff, random: () => randoms[nth++ % randoms.length]! });
    await eventually(() => waits().length >= 6);
    expect(waits().slice(0, 6)).toEqual([10, 40, 0, 25, 50, 50]); // of 20, 40, 80, 100, 100, 100
    expect(bench.states("reconnecting")[0]).toMatchObject({
      code: 1006,
      reason: expect.stringContaining("ECONNREFUSED"),
    });
    await bench.gateway.open(Number(new URL(bench.gateway.url).port));
    await bench.opened();
  });

  test("keeps growing its waits while connections are dropped right after they were accepted", async () => {
    bench.follow({}, { random: () => 0.5, backoff: { baseMs: 2, capMs: 1_000 } });
    for (let round = 1; round <= 5; round++) {
      await bench.opened(round);
      bench.gateway.closeAll(4008);
    }
    await bench.opened(6);
    expect(waits()).toEqual([1, 2, 4, 8, 16]);
    expect(bench.states("reconnecting").map((status) => (status as { code?: number }).code)).toEqual([
      4008, 4008, 4008, 4008, 4008,
    ]);
  });

  test("is when a bye says so, and not earlier", async () => {
    const channel = bench.follow();
    await channel.ready();
    bench.gateway.broadcast({ bye: { n: 1012, code: "restart", after_ms: 300 } });
    bench.gateway.closeAll(1012);
    const from = performance.now();
    await bench.opened(2);
    expect(performance.now() - from).toBeGreaterThanOrEqual(290);
    expect(waits()).toEqual([350]); // a tenth of the first 500 ms on top
    bench.gateway.append("A");
    expect(namesOf(await take(channel, 2)).toSorted()).toEqual(["A", "recovered"]);
  });

  test.each([
    [4500, "credentials_invalid"],
    [4501, "frame_invalid"],
    [4503, "credentials_invalid"],
    [4777, "because"],
    [1008, "frame_invalid"],
    [1009, "json_too_large"],
  ])("is not tried after %i: an explicit error", async (code, name) => {
    const channel = bench.follow();
    await channel.ready();
    bench.gateway.closeAll(code, "because");
    await expect(take(channel, 1)).rejects.toMatchObject({ code: name, closeCode: code, temporary: false });
    expect(await closed()).toMatchObject({ code, reason: "because", error: { code: name } });
    await sleep(100);
    expect(bench.gateway.connections).toBe(1);
  });

  test("is not tried with a token that is refused; channels that are opened later are told the same", async () => {
    bench.gateway.auth = () => ({ err: { code: "credentials_invalid", n: 2002, retry: "never", msg: "revoked" } });
    const realtime = bench.connect();
    await expect(realtime.channel("intent:a").ready()).rejects.toMatchObject({
      code: "credentials_invalid",
      detail: "revoked",
      closeCode: 4500,
    });
    expect(realtime.status).toMatchObject({ state: "closed", code: 4500, reason: "credentials_invalid" });
    expect(() => realtime.channel("intent:a")).toThrow("credentials_invalid");
    expect(bench.gateway.connections).toBe(1);
  });

  test("gives a connection up when its last channel closes, and dials again for the next one", async () => {
    const realtime = bench.connect();
    expect(realtime.status).toEqual({ state: "idle" });
    const [a, b] = [realtime.channel("intent:a"), realtime.channel("intent:b")];
    await Promise.all([a.ready(), b.ready()]);
    await a.close();
    const c = realtime.channel("intent:a");
    await b.close();
    await c.ready();
    expect(bench.gateway.connections).toBe(1);
    await c.close();
    await eventually(() => realtime.status.state === "idle" && bench.gateway.openNow === 0);
    await realtime.channel("intent:a").ready();
    expect(bench.gateway.connections).toBe(2);
    await realtime.close();
    expect(realtime.status).toMatchObject({ state: "closed", error: undefined });
    expect(() => realtime.channel("intent:a")).toThrow("closed");
  });
});

/** The events of a browser's window, on Node's global object. */
class BrowserWindow {
  readonly #events = new EventTarget();
  readonly #names = ["addEventListener", "removeEventListener"] as const;

  constructor() {
    for (const name of this.#names)
      Object.assign(globalThis, { [name]: (type: string, heard: () => void) => this.#events[name](type, heard) });
  }

  say(type: "online" | "offline"): void {
    this.#events.dispatchEvent(new Event(type));
  }

  remove(): void {
    for (const name of this.#names) delete (globalThis as Record<string, unknown>)[name];
  }
}

describe("silence", () => {
  test("for longer than the ping interval and its grace is a dead connection", async () => {
    // The grace is 10 s: a ping interval of less than nothing makes it short.
    bench.gateway.auth = () => ({ ok: { ping_ms: 2_000 - REALTIME_LIMITS.silenceSlackMs } });
    const channel = bench.follow();
    await channel.ready();
    const from = performance.now();
    while (performance.now() - from < 3_000) {
      bench.gateway.broadcast({});
      await sleep(20);
    }
    expect(bench.gateway.connections).toBe(1);
    bench.gateway.append("A");
    const reader = new Reader(channel);
    await reader.take(1);
    await bench.opened(2);
    expect(bench.states("reconnecting")[0]).toMatchObject({ code: undefined, reason: "silence" });
    bench.gateway.append("B");
    expect(namesOf(await reader.take(2))).toContain("B");
  });

  test("is not waited for when the network came back or the page is shown again: the socket proves itself", async () => {
    const window = new BrowserWindow();
    try {
      const channel = bench.follow();
      await channel.ready();
      window.say("online");
      await eventually(() => bench.gateway.commands.some(({ op }) => op === "ping"));
      await sleep(50);
      expect(bench.gateway.connections).toBe(1); // it answered
      bench.gateway.deaf = true;
      window.say("offline");
      await eventually(() => bench.states("reconnecting").length === 1);
      expect(bench.states("reconnecting")[0]).toMatchObject({ reason: "silence" });
    } finally {
      window.remove();
    }
  }, 15_000);

  test("of a wait is cut short when the network comes back, but not below what the gateway wished", async () => {
    const window = new BrowserWindow();
    try {
      let random = 0.999;
      const channel = bench.follow({}, { random: () => random, backoff: { baseMs: 60_000, capMs: 60_000 } });
      await channel.ready();
      bench.gateway.broadcast({ bye: { n: 1012, code: "restart", after_ms: 400 } });
      bench.gateway.closeAll(1012);
      const from = performance.now();
      await eventually(() => waits().length === 1);
      expect(waits()[0]).toBeGreaterThan(59_000);
      random = 0;
      window.say("online");
      await bench.opened(2);
      const tookMs = performance.now() - from;
      expect(tookMs).toBeGreaterThanOrEqual(390);
      expect(tookMs).toBeLessThan(5_000);
    } finally {
      window.remove();
    }
  });
});

describe("a token", () => {
  const inS = (seconds: number) => toRfc3339(Date.now() + seconds * 1_000);
  const tokens = () => bench.gateway.commands.map(({ op, token }) => token ?? op);

  test("is renewed in place before its time is over", async () => {
    let given = 0;
    bench.gateway.auth = () => ({ ok: { ping_ms: 25_000, expires: inS(given === 1 ? 1.3 : 60) } });
    const channel = bench.follow({}, { getToken: () => `t${given++}` });
    await channel.ready();
    await eventually(() => bench.gateway.commands.length >= 3);
    expect(tokens()).toEqual(["t0", "sub", "t1"]);
    bench.gateway.append("A");
    expect(namesOf(await take(channel, 1))).toEqual(["A"]);
    expect(bench.gateway.connections).toBe(1);
  });

  test("whose renewal fails is told of, and is renewed later in place", async () => {
    let asked = 0;
    bench.gateway.auth = () => ({ ok: { ping_ms: 25_000, expires: inS(3) } });
    const getToken = () => {
      if (asked++ === 1) throw new Error("backend is away");
      return `t${asked}`;
    };
    const channel = bench.follow({}, { getToken });
    await channel.ready();
    await eventually(() => bench.gateway.commands.length >= 3);
    expect(bench.errors).toMatchObject([
      { code: "token_unavailable", temporary: true, detail: expect.stringContaining("backend is away") },
    ]);
    expect(tokens()).toEqual(["t1", "sub", "t3"]);
    bench.gateway.append("A");
    expect(namesOf(await take(channel, 1))).toEqual(["A"]);
    expect(bench.gateway.connections).toBe(1);
  });

  test("that has expired is replaced by a new one, whether it is refused or its connection closed", async () => {
    let given = 0;
    bench.gateway.auth = (token) =>
      token === "t0" ? { err: { code: "token_expired", n: 2003, retry: "never", msg: "" } } : { ok: {} };
    bench.gateway.append("A");
    const reader = new Reader(bench.follow({ from: "start" }, { getToken: () => `t${given++}` }));
    expect(namesOf(await reader.take(1))).toEqual(["A"]);
    bench.gateway.closeAll(4014);
    expect(namesOf(await reader.take(1))).toEqual(["recovered"]);
    expect(tokens()).toEqual(["t0", "sub", "t1", "sub", "t2", "sub"]); // the first is refused with its token
    expect(bench.states("reconnecting").map((status) => (status as { code?: number }).code)).toEqual([4014, 4014]);
  });

  test("source that gives nothing but expired ones is the end, after some", async () => {
    bench.gateway.auth = () => ({ err: { code: "token_expired", n: 2003, retry: "never", msg: "" } });
    const channel = bench.follow({}, { backoff: { baseMs: 10 } });
    await expect(channel.ready()).rejects.toMatchObject({ code: "token_expired", temporary: false });
    expect(bench.gateway.connections).toBe(REALTIME_LIMITS.expirationsMax);
  });

  test("that its source cannot give now is asked for again; one that it refuses for good is the end", async () => {
    let asked = 0;
    const getToken = () => {
      if (asked++ < 2) throw new Error("backend is away");
      return "t";
    };
    bench.gateway.append("A");
    expect(namesOf(await take(bench.follow({ from: "start" }, { getToken }), 1))).toEqual(["A"]);
    expect(waits()).toHaveLength(2);
    const refuse = () => Promise.reject(Object.assign(new Error("no such buyer"), { temporary: false, code: "gone" }));
    await expect(bench.follow({}, { getToken: refuse }).ready()).rejects.toMatchObject({
      code: "gone",
      detail: "no such buyer",
    });
  });

  test("that is over by a clock that is wrong is not renewed all the time", async () => {
    let given = 0;
    bench.gateway.auth = () => ({ ok: { ping_ms: 25_000, expires: inS(-5) } });
    await bench.follow({}, { getToken: () => `t${given++}` }).ready();
    await sleep(1_500);
    expect(given).toBe(1);
  });
});

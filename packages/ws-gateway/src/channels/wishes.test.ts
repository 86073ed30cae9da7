// Where a subscription begins and which events it shows: rewind, the latest alone, types (docs/gateway-protocol.md §4.13 to §4.16).

import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { seeded, startGateway, TestClient, type TestGateway } from "../engine.fixture.js";
import { MemorySource } from "../log/memory-source.fixture.js";
import { eventually } from "../nats-server.fixture.js";

let source: MemorySource;
let gateway: TestGateway;
let client: TestClient;

async function start(more: Parameters<typeof startGateway>[1] = {}): Promise<void> {
  gateway = await startGateway(source, more);
  client = await TestClient.open(gateway.url);
}

beforeEach(() => {
  source = new MemorySource();
});
afterEach(async () => {
  await client.close();
  await gateway.stop();
});

/** Numbers from 1; each third is of `one:x`, the others of `one:y`, all of `group:g`. */
function publish(count: number, more: { type?: string; time?: number } = {}): void {
  for (let left = count; left > 0; left--) {
    const n = source.trimmed + source.messages.length + 1;
    source.publish(n % 3 === 0 ? "rt.t.g.x" : "rt.t.g.y", n, more);
  }
}

/** What it has heard when the replay is over. */
async function shown(ch: string, more: object): Promise<number[]> {
  const before = client.numbers(ch).length;
  const told = () => client.heard.filter((heard) => heard.ch === ch && heard.pos !== undefined).length;
  const positions = told();
  const { ok, err } = await client.command({ op: "sub", ch, ...more });
  if (err !== undefined) throw new Error(err.code);
  if (ok?.recovered === undefined && !("mode" in more)) return [];
  await eventually(() => told() > positions);
  return client.numbers(ch).slice(before);
}

// Before the gateway starts what is published is in the record alone, afterwards in the ring too.
describe.each([
  ["the record", 0],
  ["the ring", 60],
  ["both", 10],
])("4.13: a rewind by count, from %s", (_where, later) => {
  beforeEach(async () => {
    publish(60 - later);
    await start();
    publish(later);
    await eventually(() => gateway.engine.liveLog.last === 60);
  });

  test("shows the newest so many of the channel, then live", async () => {
    expect(await shown("one:x", { rewind: { count: 5 } })).toEqual([48, 51, 54, 57, 60]);
    publish(3);
    await eventually(() => client.numbers("one:x").at(-1) === 63);
  });

  test("shows all where there are fewer, and says that they are all", async () => {
    expect(await shown("one:x", { rewind: { count: 1_000 } })).toHaveLength(20);
    expect(client.replies.at(-1)?.ok).toMatchObject({ recovered: true });
  });

  test("says so where older ones were trimmed, and shows what is left", async () => {
    source.trim(30);
    gateway.engine.liveLog.ring.clear(60); // it would still have them
    expect(await shown("one:x", { rewind: { count: 15 } })).toEqual([33, 36, 39, 42, 45, 48, 51, 54, 57, 60]);
    expect(client.replies.at(-1)?.ok).toMatchObject({ recovered: false, reason: "trimmed" });
  });

  test("of the newest, in a channel without events, shows none", async () => {
    expect(await shown("one:z", { rewind: { count: 5 } })).toEqual([]);
  });
});

test("4.13: a rewind by count finds what a walk over the stream finds, whatever lies where", async () => {
  const random = seeded(42);
  const subjects: string[] = [];
  const publishSome = (count: number) => {
    for (let left = count; left > 0; left--) {
      const rare = random() < 0.01;
      const subject = `rt.t.g.${rare ? "rare" : Math.floor(random() * 5)}`;
      subjects.push(subject);
      source.publish(subject, subjects.length);
    }
  };
  publishSome(3_000);
  await start({ limits: { ringEventsMax: 64, replayMessages: 16, commandsBurst: 1_000 } });
  publishSome(200);
  await eventually(() => gateway.engine.liveLog.last === subjects.length);
  for (let round = 0; round < 60; round++) {
    const id = random() < 0.3 ? "rare" : String(Math.floor(random() * 5));
    const count = 1 + Math.floor(random() * 60);
    const all = subjects.flatMap((subject, at) => (subject === `rt.t.g.${id}` ? [at + 1] : []));
    const wanted = all.slice(-count);
    const got = await shown(`one:${id}`, { rewind: { count } });
    expect([round, id, count, got]).toEqual([round, id, count, wanted]);
  }
});

describe("4.14: a rewind by time", () => {
  beforeEach(async () => {
    for (let n = 0; n < 30; n++) publish(1, { time: 1_000_000 + n * 1_000 });
    await start();
  });

  test("shows what was stored within it, counted back from the newest event", async () => {
    expect(await shown("group:g", { rewind: { ms: 4_000 } })).toEqual([26, 27, 28, 29, 30]);
    expect(client.replies.at(-1)?.ok).toMatchObject({ recovered: true });
    expect(await shown("one:x", { rewind: { ms: 5_500 } })).toEqual([27, 30]);
  });

  test("says so where some of it was trimmed", async () => {
    source.trim(28);
    expect(await shown("group:g", { rewind: { ms: 4_000 } })).toEqual([29, 30]);
    expect(client.replies.at(-1)?.ok).toMatchObject({ recovered: false, reason: "trimmed" });
  });

  test("longer than the stream shows all of it", async () => {
    expect(await shown("group:g", { rewind: { ms: 10 ** 12 } })).toHaveLength(30);
    expect(client.replies.at(-1)?.ok).toMatchObject({ recovered: true });
  });
});

describe("4.15: the latest alone", () => {
  test("is shown at once, and each newer one", async () => {
    publish(30);
    await start();
    expect(await shown("one:x", { mode: "latest" })).toEqual([30]);
    expect(client.replies.at(-1)?.ok).not.toHaveProperty("recovered");
    publish(3);
    await eventually(() => client.numbers("one:x").length === 2);
    expect(client.numbers("one:x")).toEqual([30, 33]);
  });

  test("is not shown again behind its own cursor, and is behind an older one, whatever lies between", async () => {
    publish(30);
    await start();
    await shown("one:x", { mode: "latest" });
    const cur = client.cursors.get("one:x");
    expect(await shown("one:x", { mode: "latest", cur })).toEqual([]);
    publish(30);
    await eventually(() => client.numbers("one:x").at(-1) === 60);
    expect(await shown("one:x", { mode: "latest", cur })).toEqual([60]);
  });

  test("passes over what a slow reader has not taken, but for the newest", async () => {
    await start({ limits: { queueBytesMax: 200_000, stallMs: 60_000 } });
    await client.subscribe("all:", { mode: "latest" });
    client.ws.pause();
    const text = "x".repeat(20_000);
    for (let n = 1; n <= 1_000; n++) {
      source.publish("rt.t.g.x", n, { text });
      if (n % 10 === 0) await sleep(1);
    }
    await eventually(() => gateway.engine.hub.counters.behind > 0);
    client.ws.resume();
    await eventually(() => client.numbers("all:").at(-1) === 1_000);
    const numbers = client.numbers("all:");
    expect(numbers.length).toBeLessThan(1_000);
    expect(numbers).toEqual(numbers.toSorted((one, other) => one - other));
  });
});

describe("4.16: types", () => {
  const publishKinds = (count: number) => {
    for (let left = count; left > 0; left--) {
      const n = source.messages.length + 1;
      source.publish("rt.t.g.x", n, { type: n % 2 === 0 ? "EVEN" : "ODD" });
    }
  };

  test("are the only ones that are shown, from the record and live", async () => {
    publishKinds(10);
    await start();
    expect(await shown("one:x", { types: ["EVEN", "OTHER"], from: "start" })).toEqual([2, 4, 6, 8, 10]);
    publishKinds(4);
    await eventually(() => client.numbers("one:x").at(-1) === 14);
    expect(client.numbers("one:x").slice(-2)).toEqual([12, 14]);
  });

  test("count in a rewind", async () => {
    publishKinds(20);
    await start();
    expect(await shown("one:x", { types: ["ODD"], rewind: { count: 3 } })).toEqual([15, 17, 19]);
    expect(await shown("one:x", { types: ["ODD"], mode: "latest" })).toEqual([19]);
  });

  test("share their bytes with whoever wants the same, and with nobody else", async () => {
    await start();
    const others = await Promise.all([0, 1, 2].map(() => TestClient.open(gateway.url)));
    const wishes = [{ types: ["ODD", "EVEN"] }, { types: ["EVEN", "ODD"] }, { types: ["ODD"] }, {}];
    const all = [client, ...others];
    await Promise.all(all.map((each, at) => each.subscribe("one:x", wishes[at])));
    publishKinds(1);
    await eventually(() => all.every((each) => each.numbers("one:x").length === 1));
    expect(gateway.engine.hub.counters.encoded).toBe(3);
    publishKinds(1);
    await eventually(() => others[2]!.numbers("one:x").length === 2);
    expect(gateway.engine.hub.counters.encoded).toBe(5);
    for (const other of others) await other.close();
  });

  test("do not hide what cannot be read: it may be of them", async () => {
    await start();
    await client.subscribe("one:x", { types: ["ODD"] });
    source.publish("rt.t.g.x", 1, { type: "EVEN" });
    const message = source.publish("rt.t.g.x", 2);
    expect(message.seq).toBe(2); // TICK: not wanted
    source.publishBytes("rt.t.g.x", Buffer.from("no JSON"));
    await eventually(() => client.heard.some(({ e }) => e === "UNREADABLE"));
    expect(client.heard.filter(({ e }) => e !== undefined)).toHaveLength(1);
  });
});

describe("4.17: reads of the record", () => {
  test("are one per channel and cursor, however many come back at once or in a moment", async () => {
    publish(300);
    await start({ limits: { ringEventsMax: 10 } });
    publish(30);
    await eventually(() => gateway.engine.liveLog.last === 330);
    const clients = await Promise.all(Array.from({ length: 50 }, () => TestClient.open(gateway.url)));
    const waves = [clients.slice(0, 25), clients.slice(25)];
    for (const wave of waves) {
      await Promise.all(wave.map((each) => each.subscribe("one:x", { from: "start" })));
      await eventually(() => wave.every((each) => each.numbers("one:x").length === 110));
    }
    expect(gateway.engine.pages.counters).toEqual({ read: 1, shared: 49 });
    for (const each of clients) await each.close();
  });

  test("are made again after a while, and when the stream is another", async () => {
    publish(100);
    await start({ limits: { ringEventsMax: 1, pageKeptMs: 20 } });
    await shown("one:x", { from: "start" });
    await sleep(60);
    await shown("one:x", { from: "start" });
    expect(gateway.engine.pages.counters.read).toBe(2);
  });

  test("are kept within their bytes", async () => {
    publish(100);
    await start({ limits: { ringEventsMax: 1, pagesBytesMax: 100 } });
    await shown("one:x", { from: "start" });
    await shown("one:x", { from: "start" });
    expect(gateway.engine.pages.counters).toEqual({ read: 2, shared: 0 });
  });

  test("that fail are not kept", async () => {
    publish(100);
    await start({ limits: { ringEventsMax: 1 } });
    source.failing = true;
    const { err } = await client.command({ op: "sub", ch: "one:x", from: "start" });
    expect(err?.code).toBe("dependency_unavailable");
    source.failing = false;
    expect(await shown("one:x", { from: "start" })).toHaveLength(33);
  });
});

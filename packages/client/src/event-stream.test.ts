import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { toRfc3339 } from "@outcry/protocol";
import { WebSocket } from "ws";
import { type Client, type ClientOptions, createClient } from "./create-client.js";
import type { ChannelMessage, ConnectionState, EventsOptions, EventStream } from "./event-stream.js";
import { PeerGateway } from "./gateway.fixture.js";
import { CLIENT_LIMITS } from "./limits.js";

let gateway: PeerGateway;
let states: ConnectionState[];
const streams: EventStream[] = [];

beforeEach(async () => {
  gateway = await new PeerGateway().open();
  states = [];
});
afterEach(async () => {
  for (const stream of streams.splice(0)) await stream.return();
  await gateway.close();
});

const clientWith = (options: Partial<ClientOptions> = {}): Client =>
  createClient({
    url: "http://unused.invalid",
    gatewayUrl: gateway.url,
    apiKey: "key",
    random: () => 0.1,
    WebSocket,
    ...options,
  });

function follow(
  options: EventsOptions = {},
  client = clientWith(),
  channels: string | string[] = "intent:a",
): EventStream {
  const stream = client.events(channels, { onState: (state) => states.push(state), ...options });
  streams.push(stream);
  return stream;
}

async function take(stream: EventStream, count: number): Promise<ChannelMessage[]> {
  const taken: ChannelMessage[] = [];
  while (taken.length < count) {
    const { value, done } = await stream.next();
    if (done === true) break;
    taken.push(value);
  }
  return taken;
}
const typesOf = (messages: ChannelMessage[]) =>
  messages.map((message) => (message.kind === "event" ? message.type : message.kind));
const opened = async (times = 1) => {
  while (states.filter(({ kind }) => kind === "open").length < times) await sleep(5);
};

describe("a channel", () => {
  test("is authenticated for, subscribed, and read in order", async () => {
    gateway.append("OLD");
    const stream = follow();
    await opened();
    gateway.append("INTENT_CREATED", "INTENT_BROADCASTED");
    const messages = await take(stream, 2);
    expect(messages).toEqual([
      {
        kind: "event",
        channel: "intent:a",
        cursor: "c2",
        type: "INTENT_CREATED",
        event: { id: "evt_2", type: "INTENT_CREATED" },
      },
      {
        kind: "event",
        channel: "intent:a",
        cursor: "c3",
        type: "INTENT_BROADCASTED",
        event: { id: "evt_3", type: "INTENT_BROADCASTED" },
      },
    ]);
    expect(gateway.protocols).toEqual(["outcry.v1"]);
    expect(gateway.commands).toEqual([
      { id: 0, op: "auth", token: "key" },
      { id: 1, op: "sub", ch: "intent:a" },
    ]);
    expect(stream.cursors).toEqual({ "intent:a": "c3" });
  });

  test("resumes behind a cursor that was kept, or from the start", async () => {
    gateway.append("A", "B", "C");
    expect(typesOf(await take(follow({ from: "start" }), 3))).toEqual(["A", "B", "C"]);
    expect(typesOf(await take(follow({ cursor: "c2" }), 1))).toEqual(["C"]);
    const both = follow({ cursor: { "intent:b": "c1" }, from: "start" }, clientWith(), ["intent:a", "intent:b"]);
    expect(typesOf(await take(both, 5))).toEqual(["A", "B", "C", "B", "C"]);
    expect(gateway.connections).toBe(3);
  });

  test("loses and doubles nothing over connections that are cut, however they end", async () => {
    const stream = follow({ from: "start" });
    await opened();
    const ends = [
      () => gateway.cutAll(),
      () => gateway.closeAll(4008),
      () => gateway.closeAll(1001),
      () => gateway.closeAll(4012),
    ];
    const names: string[] = [];
    const reading = take(stream, 40);
    for (let round = 0; round < 4; round++) {
      await opened(round + 1);
      for (let index = 0; index < 10; index++) {
        names.push(`E${round}_${index}`);
        gateway.append(names.at(-1)!);
        if (index === 5) ends[round]!();
        await sleep(2);
      }
    }
    expect(typesOf(await reading)).toEqual(names);
    expect(gateway.connections).toBe(5);
  });

  test("that goes quiet is answered pings, and its cursor moves with the positions", async () => {
    const stream = follow();
    await opened();
    gateway.broadcast({});
    gateway.broadcast({ ch: "intent:a", pos: "c9" });
    gateway.append("A");
    await take(stream, 1);
    while (!gateway.commands.some(({ op }) => op === "pong")) await sleep(5);
    gateway.broadcast({ ch: "intent:a", pos: "c12" });
    const next = stream.next();
    await sleep(20);
    expect(stream.cursors).toEqual({ "intent:a": "c12" });
    gateway.append("B");
    await next;
  });

  test("comes back when a bye says so, and not earlier", async () => {
    const stream = follow();
    await opened();
    gateway.broadcast({ bye: { n: 1012, code: "restart", after_ms: 300 } });
    gateway.closeAll(1012);
    const from = Date.now();
    await opened(2);
    expect(Date.now() - from).toBeGreaterThanOrEqual(290);
    gateway.append("A");
    expect(typesOf(await take(stream, 1))).toEqual(["A"]);
  });

  test("says a gap out loud: on a reset, and when a resume could not be proven whole", async () => {
    gateway.append("A");
    const stream = follow({ cursor: "c0" });
    await take(stream, 1);
    gateway.broadcast({ ch: "intent:a", reset: { reason: "epoch", c: "c1" } });
    expect(await take(stream, 1)).toEqual([{ kind: "gap", channel: "intent:a", cursor: "c1", reason: "epoch" }]);
    gateway.sub = () => {
      gateway.sub = () => undefined;
      return { ok: { ch: "intent:a", c: "c5", recovered: false, reason: "trimmed" } };
    };
    gateway.cutAll();
    expect(await take(stream, 1)).toEqual([{ kind: "gap", channel: "intent:a", cursor: "c5", reason: "trimmed" }]);
    expect(stream.cursors).toEqual({ "intent:a": "c5" });
  });

  test("whose right was taken back ends; the iterator ends with the last of them", async () => {
    const stream = follow({}, clientWith(), ["intent:a", "intent:b"]);
    await opened();
    gateway.broadcast({ ch: "intent:a", end: { code: "channel_forbidden" } });
    gateway.broadcast({ ch: "intent:b", end: { code: "channel_forbidden" } });
    const messages = [];
    for await (const message of stream) messages.push(message);
    expect(messages).toEqual([
      { kind: "ended", channel: "intent:a", code: "channel_forbidden" },
      { kind: "ended", channel: "intent:b", code: "channel_forbidden" },
    ]);
  });

  test("ignores what it does not know: lines that are no JSON, kinds of a later version", async () => {
    const stream = follow();
    await opened();
    gateway.broadcast('nonsense\n{"ch":"intent:a","later":1}\n{"new":{}}\n[]\n7');
    gateway.append("A");
    expect(typesOf(await take(stream, 1))).toEqual(["A"]);
  });
});

describe("a refusal", () => {
  test("of the token or the channel is thrown, and not tried again", async () => {
    gateway.auth = () => ({ err: { code: "credentials_invalid", n: 2002, retry: "never", msg: "revoked" } });
    await expect(take(follow(), 1)).rejects.toMatchObject({ code: "credentials_invalid", detail: "revoked" });
    gateway.auth = () => ({ ok: {} });
    gateway.sub = () => ({ err: { code: "channel_forbidden", n: 6001, retry: "never", msg: "" } });
    await expect(take(follow(), 1)).rejects.toMatchObject({ code: "channel_forbidden" });
    gateway.sub = () => undefined;
    const revoked = follow();
    await opened();
    gateway.closeAll(4503);
    await expect(take(revoked, 1)).rejects.toMatchObject({ code: "credentials_invalid" });
    expect(gateway.connections).toBe(3);
  });

  test("for now is tried again", async () => {
    gateway.sub = () => {
      gateway.sub = () => undefined;
      return { err: { code: "dependency_unavailable", n: 9001, retry: "after", msg: "" } };
    };
    gateway.append("A");
    expect(typesOf(await take(follow({ from: "start" }), 1))).toEqual(["A"]);
    expect(gateway.connections).toBe(2);
  });
});

describe("a token", () => {
  test("is renewed in place before its time is over", async () => {
    let given = 0;
    gateway.auth = () => ({ ok: { ping_ms: 25_000, expires: toRfc3339(Date.now() + (given === 1 ? 1_300 : 60_000)) } });
    const client = clientWith({ apiKey: undefined, getToken: () => `t${given++}` });
    const stream = follow({}, client);
    await opened();
    while (gateway.commands.length < 3) await sleep(20);
    expect(gateway.commands.map(({ op, token }) => token ?? op)).toEqual(["t0", "sub", "t1"]);
    gateway.append("A");
    expect(typesOf(await take(stream, 1))).toEqual(["A"]);
    expect(gateway.connections).toBe(1);
  });

  test("whose renewal fails is told of, and is renewed later in place", async () => {
    let asked = 0;
    gateway.auth = () => ({ ok: { ping_ms: 25_000, expires: toRfc3339(Date.now() + 3_000) } });
    const getToken = () => {
      if (asked++ === 1) throw new Error("backend is away");
      return `t${asked}`;
    };
    const stream = follow({}, clientWith({ apiKey: undefined, getToken }));
    await opened();
    while (gateway.commands.length < 3) await sleep(20);
    expect(states.filter(({ kind }) => kind === "renewal_failed")).toEqual([
      { kind: "renewal_failed", why: expect.stringContaining("backend is away") },
    ]);
    expect(gateway.commands.map(({ op, token }) => token ?? op)).toEqual(["t1", "sub", "t3"]);
    gateway.append("A");
    expect(typesOf(await take(stream, 1))).toEqual(["A"]);
    expect(gateway.connections).toBe(1);
  });

  test("that has expired is replaced by a new one; without a source of tokens that is the end", async () => {
    let given = 0;
    gateway.auth = (token) =>
      token === "t0" ? { err: { code: "token_expired", n: 2003, retry: "never", msg: "" } } : { ok: {} };
    gateway.append("A");
    const client = clientWith({ apiKey: undefined, getToken: () => `t${given++}` });
    expect(typesOf(await take(follow({ from: "start" }, client), 1))).toEqual(["A"]);
    const fixed = follow();
    await opened(2);
    gateway.closeAll(4014);
    await expect(take(fixed, 1)).rejects.toMatchObject({ code: "token_expired" });
  });

  test("that its source cannot give now is asked for again", async () => {
    let asked = 0;
    const getToken = () => {
      if (asked++ < 2) throw new Error("backend is away");
      return "t";
    };
    gateway.append("A");
    expect(typesOf(await take(follow({ from: "start" }, clientWith({ apiKey: undefined, getToken })), 1))).toEqual([
      "A",
    ]);
    expect(states.filter(({ kind }) => kind === "waiting")).toHaveLength(2);
  });
});

describe("a consumer", () => {
  test("that is slow loses nothing: the socket is left alone until half of the queue is read", async () => {
    const total = CLIENT_LIMITS.queuedMessagesMax * 2 + 500;
    const names = Array.from({ length: total }, (_, index) => `E${index}`);
    gateway.append(...names);
    const stream = follow({ from: "start" });
    await sleep(300);
    expect(gateway.connections).toBe(1);
    expect(typesOf(await take(stream, total))).toEqual(names);
    expect(gateway.connections).toBeGreaterThan(1);
    expect(gateway.connections).toBeLessThan(8);
  }, 20_000);

  test("ends it by leaving the loop or by its signal", async () => {
    gateway.append("A", "B");
    for await (const message of follow({ from: "start" })) {
      expect(message.kind).toBe("event");
      break;
    }
    const controller = new AbortController();
    const stream = follow({ signal: controller.signal });
    const next = stream.next();
    await opened(2);
    controller.abort(new Error("enough"));
    await expect(next).rejects.toThrow("enough");
    expect(await stream.next().catch((error: Error) => error.message)).toBe("enough");
    await sleep(50);
    expect(states.filter(({ kind }) => kind === "ended")).toHaveLength(2);
    await expect(follow({ signal: AbortSignal.abort(new Error("before")) }).next()).rejects.toThrow("before");
  });

  test("leaves no timer behind that would keep a program alive, also when messages are under way as it ends", async () => {
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    const before = timers();
    for (let round = 0; round < 20; round++) {
      const stream = follow({ from: "start" });
      gateway.append("A");
      await stream.next();
      for (let more = 0; more < 50; more++) gateway.append("B");
      await stream.return();
    }
    await sleep(100); // shorter than the silence that ends a connection
    expect(timers()).toBeLessThanOrEqual(before + 1); // this test's own
  });
});

// Phoenix Channels V2 with the stock npm client (docs/gateway-protocol.md §10).

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { once } from "node:events";
import { type Channel, Presence, Socket } from "phoenix";
import { WebSocket } from "ws";
import type { TestGateway } from "../engine.fixture.js";
import { EventsWorld } from "../events-world.fixture.js";
import { deleteEvents, eventually } from "../nats-server.fixture.js";
import { CLOSE } from "../transport/close-codes.js";
import { upgrade } from "../transport/upgrade.fixture.js";

let world: EventsWorld;
let gateway: TestGateway;
const sockets: Socket[] = [];

beforeAll(async () => {
  world = await EventsWorld.start();
}, 30_000);

beforeEach(async () => {
  await world.renew();
  gateway = await world.gateway();
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.disconnect();
});

afterAll(() => world.remove());

type Options = ConstructorParameters<typeof Socket>[1] & { authToken?: string };

function connect(options: Options = { authToken: "alice" }): Socket {
  const socket = new Socket(`ws://127.0.0.1:${gateway.port}/socket`, {
    transport: WebSocket,
    reconnectAfterMs: () => 30,
    rejoinAfterMs: () => 30,
    ...options,
  });
  sockets.push(socket);
  socket.connect();
  return socket;
}

interface Payload {
  readonly cursor: string;
  readonly event: { n: number };
}

interface JoinReply {
  readonly cursor: string;
  readonly recovered?: boolean;
  readonly reason?: string;
}

interface Refusal {
  readonly code: string;
  readonly reason: string;
  readonly retry: string;
}

/** A channel that keeps its cursor, as an application would. */
class Listener {
  readonly numbers: number[] = [];
  readonly replies: JoinReply[] = [];
  readonly refusals: Refusal[] = [];
  readonly said: string[] = [];
  readonly channel: Channel;
  /** Read at each join, also at the first. */
  cursor: string | undefined;
  joins = 0;

  constructor(socket: Socket, topic: string, params: object = {}, since?: string) {
    this.cursor = since;
    this.channel = socket.channel(topic, () => {
      this.joins++;
      return { ...params, cursor: this.cursor };
    });
    this.channel.on("TICK", ({ cursor, event }: Payload) => {
      this.cursor = cursor;
      this.numbers.push(event.n);
    });
    for (const name of ["cursor", "gap", "end"]) {
      this.channel.on(name, ({ cursor }: { cursor?: string }) => {
        this.said.push(name);
        this.cursor = cursor ?? this.cursor;
      });
    }
    this.channel.onClose(() => void this.said.push("closed"));
    this.channel
      .join()
      .receive("ok", (reply: JoinReply) => {
        this.replies.push(reply);
        this.cursor ??= reply.cursor;
      })
      .receive("error", (refusal: Refusal) => this.refusals.push(refusal));
  }
}

async function joined(topic: string, params: object = {}, options?: Options): Promise<Listener> {
  const listener = new Listener(connect(options), topic, params);
  await eventually(() => listener.replies.length > 0);
  return listener;
}

describe("10.1 the connection", () => {
  test("takes the token as a subprotocol, and answers with `phoenix`", async () => {
    const listener = await joined("group:g", {}, { authToken: "älice" });
    expect(listener.replies[0]!.cursor).toHaveLength(23);
    expect(gateway.engine.roles).toEqual({ buyer: 1 });
  });

  test("takes the token as the parameter `token`", async () => {
    await joined("group:g", {}, { params: { token: "alice" } });
  });

  test.each([
    ["no token", "?vsn=2.0.0", 401],
    ["a refused token", "?vsn=2.0.0&token=bad", 401],
    ["another version", "?vsn=1.0.0&token=alice", 400],
    ["no version", "?token=alice", 400],
  ])("refuses %s with a status of its own", async (_what, query, status) => {
    const answer = await upgrade(`ws://127.0.0.1:${gateway.port}/socket/websocket${query}`);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ status });
  });

  test("answers heartbeats, and ends without them", async () => {
    await gateway.stop();
    gateway = await world.gateway(world.source, { idleMs: 300, sweepMs: 20 });
    const beating = await joined("group:g", {}, { authToken: "alice", heartbeatIntervalMs: 100 });
    await joined("group:g", {}, { authToken: "bob", heartbeatIntervalMs: 60_000 });
    await eventually(() => gateway.closed.includes("no_pong"));
    expect(gateway.engine.roles).toEqual({ buyer: 1 });
    expect(beating.joins).toBe(1);
  });

  test.each([
    ["no JSON", "hello"],
    ["no array of five", '[null,null,"group:g","phx_join"]'],
    ["a payload that is no object", '[null,"1","group:g","phx_join",[]]'],
    ["a ref that is no text", '[null,1,"group:g","phx_join",{}]'],
    ["a duplicate key", '["1","1","group:g","phx_join",{"a":1,"a":2}]'],
    ["a binary frame that is no push", Buffer.from([7, 0, 0, 0, 0])],
    ["a binary push that is shorter than it says", Buffer.from([0, 200, 1, 1, 1, 65])],
  ])("ends at %s with 4501", async (_what, frame) => {
    const ws = new WebSocket(`ws://127.0.0.1:${gateway.port}/socket/websocket?vsn=2.0.0&token=alice`);
    await once(ws, "open");
    ws.send(frame);
    const [code] = (await once(ws, "close")) as [number];
    expect(code).toBe(4501);
  });
});

describe("10.2 a join", () => {
  test("is answered with the head cursor before the first event, also on an empty channel", async () => {
    const listener = await joined("group:g");
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => listener.numbers.length === 1);
    expect(listener.replies).toEqual([{ cursor: expect.any(String) }]);
  });

  test("replays from the start, or behind the cursor of its parameters", async () => {
    for (let n = 0; n < 5; n++) await world.publisher.publish("rt.t.g.x");
    const listener = await joined("group:g", { from: "start" });
    await eventually(() => listener.numbers.length === 5);
    const second = new Listener(connect(), "group:g", {}, listener.cursor);
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => second.numbers.length === 1 && listener.numbers.length === 6);
    expect(second.numbers).toEqual([6]);
    expect(second.replies[0]).toMatchObject({ recovered: true });
  });

  test("may rewind, and name the types that it wants", async () => {
    for (let n = 0; n < 8; n++) await world.publisher.publish("rt.t.g.x", { type: n % 2 === 0 ? "TICK" : "TOCK" });
    const listener = await joined("group:g", { rewind: { count: 2 }, types: ["TICK"] });
    await eventually(() => listener.numbers.length === 2);
    expect(listener.numbers).toEqual([5, 7]);
  });

  test("that can never succeed is told once, and its channel closed", async () => {
    const listener = new Listener(connect(), "one:secret");
    await eventually(() => listener.said.includes("closed"));
    await new Promise((resolve) => setTimeout(resolve, 200)); // six times its pause between attempts
    expect(listener.joins).toBe(1);
    expect(listener.refusals).toEqual([{ code: "channel_forbidden", reason: expect.any(String), retry: "never" }]);
  });

  test("that may succeed later is tried again by the client, and succeeds", async () => {
    await gateway.stop();
    gateway = await world.gateway(world.source, { ringEventsMax: 1 }); // so that the record must be read
    for (let n = 0; n < 3; n++) await world.publisher.publish("rt.t.g.x");
    await eventually(() => gateway.engine.liveLog.last === 3);
    await world.nats.kill9();
    const listener = new Listener(connect(), "group:g", { from: "start" });
    await eventually(() => listener.refusals.length > 1);
    expect(listener.refusals[0]).toMatchObject({ code: "dependency_unavailable", retry: "after" });
    await world.nats.restart();
    await eventually(() => listener.numbers.length === 3, 20_000);
    expect(listener.said).not.toContain("closed");
  });

  test.each([
    ["a cursor that is no text", { cursor: 5 }],
    ["another from", { from: "end" }],
  ])("with %s is refused", async (_what, params) => {
    const refusals: Refusal[] = [];
    connect()
      .channel("group:g", params)
      .join()
      .receive("error", (refusal: Refusal) => refusals.push(refusal));
    await eventually(() => refusals.length > 0);
    expect(refusals[0]).toMatchObject({ code: "request_invalid" });
  });

  test("of a topic that is joined closes the earlier one", async () => {
    const ws = new WebSocket(`ws://127.0.0.1:${gateway.port}/socket/websocket?vsn=2.0.0&token=alice`);
    const heard: unknown[] = [];
    ws.on("message", (data) => heard.push(JSON.parse((data as Buffer).toString())));
    await once(ws, "open");
    for (const ref of ["1", "2"]) ws.send(JSON.stringify([ref, ref, "group:g", "phx_join", {}]));
    await eventually(() => heard.length >= 2);
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => heard.length >= 3);
    expect(heard).toContainEqual(["1", "1", "group:g", "phx_close", {}]);
    expect(heard).toContainEqual(["2", "2", "group:g", "phx_reply", { status: "ok", response: expect.anything() }]);
    expect(heard.filter((message) => (message as string[])[3] === "TICK")).toHaveLength(1);
    ws.terminate();
  });
});

describe("10.3 a leave", () => {
  test("ends the subscription", async () => {
    const listener = await joined("group:g");
    listener.channel.leave();
    await eventually(() => listener.said.includes("closed"));
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => gateway.engine.liveLog.last === 1);
    expect(gateway.engine.hub.groups).toBe(0);
    expect(listener.numbers).toEqual([]);
  });

  test("of what was not joined is no error", async () => {
    const ws = new WebSocket(`ws://127.0.0.1:${gateway.port}/socket/websocket?vsn=2.0.0&token=alice`);
    await once(ws, "open");
    ws.send(JSON.stringify([null, "1", "group:g", "phx_leave", {}]));
    const [data] = (await once(ws, "message")) as [Buffer];
    expect(JSON.parse(String(data))).toEqual([null, "1", "group:g", "phx_reply", { status: "ok", response: {} }]);
    ws.terminate();
  });
});

describe("10.4 continuity", () => {
  test("the stock client loses nothing and hears nothing twice over six kills of the gateway", async () => {
    const listeners = ["group:g", "one:x", "all:"].map((topic) => new Listener(connect(), topic, { from: "start" }));
    const { port } = gateway;
    for (let kill = 0; kill < 6; kill++) {
      for (let n = 0; n < 20; n++) await world.publisher.publish(n % 2 === 0 ? "rt.t.g.x" : "rt.t.g.y");
      await gateway.stop();
      world.gateways.pop();
      for (let n = 0; n < 10; n++) await world.publisher.publish("rt.t.g.x");
      gateway = await world.gateway(world.source, {}, port);
    }
    const wanted = [world.publisher.numbers("g"), world.publisher.numbers("x"), world.publisher.numbers()];
    await eventually(() => listeners.every(({ numbers }, at) => numbers.length >= wanted[at]!.length), 20_000);
    expect(listeners.map(({ numbers }) => numbers)).toEqual(wanted);
    for (const { replies } of listeners) expect(replies.slice(1).every(({ recovered }) => recovered)).toBe(true);
  });

  test("a heartbeat moves the cursor of a quiet channel", async () => {
    const listener = await joined("one:quiet", {}, { authToken: "alice", heartbeatIntervalMs: 50 });
    const before = listener.cursor;
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => listener.cursor !== before);
    expect(listener.said).toContain("cursor");
  });

  test("a stream that was made anew is said as a gap", async () => {
    const listener = await joined("group:g");
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => listener.numbers.length === 1);
    await deleteEvents(world.backbone);
    await world.makeStream();
    await eventually(() => listener.said.includes("gap"));
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => listener.numbers.length === 2);
  });
});

describe("10.5 rights", () => {
  test("a removed connection's channels are closed, so the client joins none of them again", async () => {
    const listener = await joined("group:g");
    gateway.engine.revoke(({ id }) => id === "alice");
    await eventually(() => listener.said.includes("closed"));
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(listener.joins).toBe(1);
    expect(gateway.closed).toEqual([CLOSE.revoked.code]);
  });

  test("`access_token` renews the token in place; what it does not cover ends", async () => {
    const listener = await joined("one:secret", {}, { params: { token: "chief" } });
    const replies: unknown[] = [];
    listener.channel
      .push("access_token", { access_token: "bob" })
      .receive("error", (reply: Refusal) => replies.push(reply));
    await eventually(() => replies.length === 1);
    expect(replies[0]).toMatchObject({ code: "permission_denied" });
    listener.channel.push("access_token", { access_token: "chief@99999999999999" });
    await eventually(() => listener.said.includes("closed"));
    expect(listener.said.slice(-2)).toEqual(["end", "closed"]);
  });

  test("an expired token ends the connection; the client comes back with a new one", async () => {
    await gateway.stop();
    gateway = await world.gateway(world.source, { sweepMs: 20 });
    let tokens = 0;
    const token = () => (tokens++ === 0 ? `alice@${Date.now() + 200}` : "alice");
    const listener = await joined("group:g", {}, { params: () => ({ token: token() }) });
    await eventually(() => listener.replies.length === 2);
    expect(listener.replies[1]).toMatchObject({ recovered: true });
  });
});

describe("10.6 an event of the client that the channel does not take", () => {
  test("is refused on its own ref", async () => {
    const listener = await joined("group:g");
    const replies: unknown[] = [];
    listener.channel.push("shout", { a: 1 }).receive("error", (reply: Refusal) => replies.push(reply));
    await eventually(() => replies.length === 1);
    expect(replies[0]).toMatchObject({ code: "frame_invalid", retry: "never" });
  });
});

describe("10.7 presence and hints", () => {
  test("the stock Presence keeps the list, over joins, changes, leaves and a kill of the gateway", async () => {
    const viewer = new Listener(connect({ authToken: "viewer" }), "group:g", { presence: true });
    const presence = new Presence(viewer.channel);
    const names = () =>
      presence
        .list((key: string) => key)
        .toSorted()
        .join(" ");
    const alice = await joined("group:g", { track: { name: "A" } });
    await joined("group:g", { track: {} }, { authToken: "__proto__" });
    await eventually(() => names() === "__proto__ alice");
    alice.channel.push("track", { name: "B" });
    const infos = () =>
      presence.list((key: string, { metas }: { metas: { name?: string }[] }) => [key, metas[0]!.name]);
    await eventually(() => infos().some(([key, name]) => key === "alice" && name === "B"));
    alice.channel.push("untrack", {});
    await eventually(() => names() === "__proto__");
    const { port } = gateway;
    await gateway.stop();
    world.gateways.pop();
    gateway = await world.gateway(world.source, {}, port);
    await eventually(() => names() === "__proto__ alice"); // its join says so again
  });

  test("a hint is an event of the channel", async () => {
    const [alice, bob] = [await joined("group:g"), await joined("group:g", {}, { authToken: "bob" })];
    const hints: unknown[] = [];
    bob.channel.on("hint", (hint) => void hints.push(hint));
    alice.channel.push("hint", { kind: "typing", data: true });
    await eventually(() => hints.length === 1);
    expect(hints).toEqual([{ from: "alice", kind: "typing", data: true }]);
    const refusals: Refusal[] = [];
    alice.channel.push("hint", { kind: "?" }).receive("error", (refusal: Refusal) => refusals.push(refusal));
    await eventually(() => refusals.length === 1);
    expect(refusals[0]).toMatchObject({ code: "request_invalid" });
  });
});

// Centrifugo's JSON protocol with the stock npm client (docs/gateway-protocol.md §11).

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import {
  Centrifuge,
  type Options,
  State,
  type StreamPosition,
  type SubscribedContext,
  type Subscription,
} from "centrifuge";
import { once } from "node:events";
import { WebSocket } from "ws";
import type { TestGateway } from "../engine.fixture.js";
import { EventsWorld } from "../events-world.fixture.js";
import { deleteEvents, eventually, purgeEvents } from "../nats-server.fixture.js";
import { GATEWAY_LIMITS } from "../limits.js";
import { CLOSE } from "../transport/close-codes.js";
import { upgrade } from "../transport/upgrade.fixture.js";

let world: EventsWorld;
let gateway: TestGateway;
const clients: Centrifuge[] = [];

beforeAll(async () => {
  world = await EventsWorld.start();
}, 30_000);

beforeEach(async () => {
  await world.renew();
  gateway = await world.gateway();
});

afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect();
});

afterAll(() => world.remove());

function connect(options: Partial<Options> = {}): Centrifuge {
  const client = new Centrifuge(`ws://127.0.0.1:${gateway.port}/connection/websocket`, {
    token: "alice",
    websocket: WebSocket,
    minReconnectDelay: 20,
    maxReconnectDelay: 60,
    ...options,
  });
  clients.push(client);
  client.connect();
  return client;
}

class Listener {
  readonly numbers: number[] = [];
  readonly subscribed: SubscribedContext[] = [];
  readonly ended: { code: number; reason: string }[] = [];
  readonly again: number[] = [];
  readonly subscription: Subscription;

  constructor(client: Centrifuge, channel: string, since?: StreamPosition) {
    this.subscription = client.newSubscription(channel, {
      minResubscribeDelay: 20,
      maxResubscribeDelay: 60,
      ...(since === undefined ? {} : { since }),
    });
    this.subscription.on("publication", ({ data }) => this.numbers.push((data as { n: number }).n));
    this.subscription.on("subscribed", (context) => this.subscribed.push(context));
    this.subscription.on("unsubscribed", ({ code, reason }) => this.ended.push({ code, reason }));
    this.subscription.on("subscribing", ({ code }) => this.again.push(code));
    this.subscription.subscribe();
  }
}

async function subscribed(channel: string, options?: Partial<Options>): Promise<Listener> {
  const listener = new Listener(connect(options), channel);
  await eventually(() => listener.subscribed.length > 0);
  return listener;
}

/** Lines in, lines out. */
async function raw(): Promise<{ ws: WebSocket; said: unknown[] }> {
  const ws = new WebSocket(`ws://127.0.0.1:${gateway.port}/connection/websocket`);
  const said: unknown[] = [];
  ws.on("message", (data) => {
    for (const line of (data as Buffer).toString().split("\n")) said.push(JSON.parse(line));
  });
  await once(ws, "open");
  return { ws, said };
}

describe("11.1 the connection", () => {
  test("is opened by a token in the first command", async () => {
    const client = connect();
    const [{ client: id }] = (await once(client as never, "connected")) as [{ client: string }];
    expect(id).toMatch(/^con_/);
    expect(gateway.engine.roles).toEqual({ buyer: 1 });
  });

  test("a refused token ends the client for good", async () => {
    const client = connect({ token: "bad" });
    const [{ code }] = (await once(client as never, "disconnected")) as [{ code: number }];
    expect(code).toBe(101);
  });

  test("an expired token is asked for anew, before and after", async () => {
    await gateway.stop();
    gateway = await world.gateway(world.source, { sweepMs: 20 });
    const asked: number[] = [];
    const getToken = async () => {
      asked.push(Date.now());
      return asked.length < 3 ? `alice@${Date.now() + (asked.length === 1 ? -1_000 : 1_500)}` : "alice";
    };
    const client = connect({ token: "", getToken });
    client.on("error", () => undefined); // which `once` would throw
    await eventually(() => client.state === State.Connected);
    expect(asked).toHaveLength(2); // the first had expired
    await eventually(() => asked.length === 3); // refreshed in place
    await eventually(() => gateway.engine.connections === 1);
    expect(gateway.closed.filter((reason) => reason !== "token_expired" && reason !== "by_peer")).toEqual([]);
  });

  test("protobuf is refused before it begins", async () => {
    const url = `ws://127.0.0.1:${gateway.port}/connection/websocket`;
    const answer = await upgrade(url, { "Sec-WebSocket-Protocol": "centrifuge-protobuf" });
    expect(answer.status).toBe(400);
  });

  test("pings are answered by the client; one that answers none is closed", async () => {
    await gateway.stop();
    gateway = await world.gateway(world.source, { pingMs: 50, pongMs: 100, sweepMs: 20 });
    const client = connect();
    await once(client as never, "connected");
    const { ws } = await raw();
    ws.send('{"id":1,"connect":{"token":"bob"}}');
    const [code] = (await once(ws, "close")) as [number];
    expect(code).toBe(CLOSE.noPong.number);
    expect(client.state).toBe(State.Connected);
  });

  test.each([
    ["no JSON", "hello"],
    ["an id of zero", '{"id":0,"connect":{}}'],
    ["two answers at once", '{"id":1,"foo":{}}'],
    ["a body that is no object", '{"id":1,"connect":[]}'],
    ["a duplicate key", '{"id":1,"id":2,"connect":{}}'],
    ["a second connect", '{"id":1,"connect":{"token":"a"}}\n{"id":2,"connect":{"token":"a"}}'],
    [
      "an offset that is no number",
      '{"id":1,"connect":{"token":"a"}}\n{"id":2,"subscribe":{"channel":"all:","offset":"1"}}',
    ],
  ])("ends at %s with 4501", async (_what, frame) => {
    const { ws } = await raw();
    ws.send(frame);
    const [code] = (await once(ws, "close")) as [number];
    expect(code).toBe(CLOSE.badFrame.number);
  });

  test("a command before the token ends it with 4500", async () => {
    const { ws } = await raw();
    ws.send('{"id":1,"subscribe":{"channel":"all:"}}');
    const [code] = (await once(ws, "close")) as [number];
    expect(code).toBe(CLOSE.credentials.number);
  });

  test("several commands in a frame are each answered; what is not offered says so", async () => {
    const { ws, said } = await raw();
    ws.send('{"id":1,"connect":{"token":"alice"}}');
    await eventually(() => said.length === 1);
    ws.send(
      '{"id":2,"subscribe":{"channel":"all:"}}\n{"id":3,"rpc":{"method":"x"}}\n{"send":{}}\n{}\n{"id":4,"unsubscribe":{"channel":"all:"}}\n',
    );
    await eventually(() => said.length === 4);
    expect(said).toContainEqual({ id: 3, error: { code: 108, message: expect.any(String), temporary: false } });
    expect(said).toContainEqual({ id: 4, unsubscribe: {} });
    ws.terminate();
  });
});

describe("11.2 a subscription", () => {
  test("has a position before the first publication, also on an empty channel", async () => {
    const listener = await subscribed("group:g");
    expect(listener.subscribed[0]).toMatchObject({ recoverable: true, positioned: true, wasRecovering: false });
    expect(listener.subscribed[0]!.streamPosition!.offset).toBeGreaterThan(0);
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => listener.numbers.length === 1);
  });

  test("recovers behind a position", async () => {
    const first = await subscribed("group:g");
    for (let n = 0; n < 5; n++) await world.publisher.publish("rt.t.g.x");
    await eventually(() => first.numbers.length === 5);
    const second = new Listener(connect(), "group:g", first.subscribed[0]!.streamPosition);
    await eventually(() => second.numbers.length === 5);
    expect(second.subscribed[0]).toMatchObject({ wasRecovering: true, recovered: true });
    expect(second.numbers).toEqual([1, 2, 3, 4, 5]);
  });

  test("may say in its data what it rewinds to, and which types it wants", async () => {
    for (let n = 0; n < 8; n++) await world.publisher.publish("rt.t.g.x", { type: n % 2 === 0 ? "TICK" : "TOCK" });
    const subscription = connect().newSubscription("group:g", { data: { rewind: { count: 2 }, types: ["TICK"] } });
    const heard: unknown[] = [];
    subscription.on("publication", ({ data, tags }) => heard.push([(data as { n: number }).n, tags?.["type"]]));
    subscription.subscribe();
    await eventually(() => heard.length === 2);
    expect(heard).toEqual([
      [5, "TICK"],
      [7, "TICK"],
    ]);
  });

  test.each([
    ["a foreign epoch", { offset: 12, epoch: "xyz" }],
    ["no epoch", { offset: 12, epoch: "" }],
    ["an offset of zero", { offset: 0, epoch: "" }],
  ])("with %s was recovering and is not recovered", async (_what, since) => {
    const listener = new Listener(connect(), "group:g", since);
    await eventually(() => listener.subscribed.length === 1);
    expect(listener.subscribed[0]).toMatchObject({ wasRecovering: true, recovered: false });
  });

  test("with a forged offset, ahead of the stream's own head, is answered at once", async () => {
    const before = await subscribed("group:g");
    const { epoch } = before.subscribed[0]!.streamPosition!;
    const startedAt = performance.now();
    const listener = new Listener(connect(), "group:g", { epoch, offset: 123_456_789 });
    await eventually(() => listener.subscribed.length === 1);
    expect(performance.now() - startedAt).toBeLessThan(GATEWAY_LIMITS.aheadMs);
    expect(listener.subscribed[0]).toMatchObject({ wasRecovering: true, recovered: false });
  });

  test("that can never succeed ends for good", async () => {
    const listener = new Listener(connect(), "one:secret");
    await eventually(() => listener.ended.length === 1);
    expect(listener.ended[0]!.code).toBe(103);
    expect(listener.ended[0]!.reason).toContain("channel_forbidden");
  });

  test("is asked again where it may succeed later", async () => {
    await gateway.stop();
    gateway = await world.gateway(world.source, { ringEventsMax: 1 }); // so that the record must be read
    const first = await subscribed("group:g");
    for (let n = 0; n < 3; n++) await world.publisher.publish("rt.t.g.x");
    await eventually(() => first.numbers.length === 3);
    await world.nats.kill9();
    const listener = new Listener(connect(), "group:g", first.subscribed[0]!.streamPosition);
    const errors: number[] = [];
    listener.subscription.on("error", ({ error }) => errors.push(error.code));
    await eventually(() => errors.length > 0);
    expect(errors[0]).toBe(100);
    await world.nats.restart();
    await eventually(() => listener.numbers.length === 3, 20_000);
    expect(listener.subscribed[0]).toMatchObject({ recovered: true });
  });

  test("ends with unsubscribe", async () => {
    const listener = await subscribed("group:g");
    listener.subscription.unsubscribe();
    await eventually(() => gateway.engine.hub.groups === 0);
  });
});

describe("11.3 continuity", () => {
  test("the stock client loses nothing and hears nothing twice over six kills of the gateway", async () => {
    const client = connect();
    const listeners = ["group:g", "one:x", "all:"].map((channel) => new Listener(client, channel));
    await eventually(() => listeners.every((listener) => listener.subscribed.length === 1));
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
    for (const listener of listeners)
      expect(listener.subscribed.slice(1).map(({ recovered }) => recovered)).not.toContain(false);
  });

  test("a stream that was made anew: the client subscribes again and is told that it was not recovered", async () => {
    const listener = await subscribed("group:g");
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => listener.numbers.length === 1);
    await deleteEvents(world.backbone);
    await world.makeStream();
    await eventually(() => listener.subscribed.length === 2);
    expect(listener.again).toContain(2500);
    expect(listener.subscribed[1]).toMatchObject({ wasRecovering: true, recovered: false });
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => listener.numbers.length === 2);
  });
});

describe("11.3 a position on a quiet channel", () => {
  const publishElsewhere = async (count: number) => {
    for (let n = 0; n < count; n++) await world.publisher.publish("rt.t.other.z");
  };

  test("that gets old is asked for and made new, before it is trimmed", async () => {
    await gateway.stop();
    gateway = await world.gateway(world.source, { headCheckMs: 50, pingMs: 200, sweepMs: 20 });
    const listener = await subscribed("group:g");
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => listener.numbers.length === 1);
    await publishElsewhere(40);
    await purgeEvents(world.backbone, 2); // from now on the stream forgets; the position is of its first event
    await eventually(() => listener.subscribed.length === 2);
    expect(listener.again).toContain(2500);
    expect(listener.subscribed[1]).toMatchObject({ wasRecovering: true, recovered: true });
    expect(listener.subscribed[1]!.streamPosition).not.toEqual(listener.subscribed[0]!.streamPosition);
    await purgeEvents(world.backbone, 30);
    await gateway.stop();
    world.gateways.pop();
    gateway = await world.gateway(world.source, {}, gateway.port);
    await eventually(() => listener.subscribed.length === 3, 20_000);
    expect(listener.subscribed[2]).toMatchObject({ wasRecovering: true, recovered: true });
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => listener.numbers.length === 2);
    expect(listener.ended).toEqual([]);
  });

  test("stays as it is while nothing is trimmed", async () => {
    await gateway.stop();
    gateway = await world.gateway(world.source, { headCheckMs: 50, pingMs: 100, sweepMs: 20 });
    const listener = await subscribed("group:g");
    await publishElsewhere(40);
    await new Promise((resolve) => setTimeout(resolve, 500)); // some pings, some looks at the stream
    expect(listener.again).toHaveLength(1);
  });

  test.each([
    ["the ring", {}],
    ["the record", { ringEventsMax: 1 }],
  ])("is the head's when nothing was missed, whether %s says so", async (_place, limits) => {
    await gateway.stop();
    gateway = await world.gateway(world.source, limits);
    const first = await subscribed("group:g");
    await publishElsewhere(20);
    const again = new Listener(connect(), "group:g", first.subscribed[0]!.streamPosition);
    await eventually(() => again.subscribed.length === 1);
    const fresh = await subscribed("group:g");
    expect(again.subscribed[0]).toMatchObject({ wasRecovering: true, recovered: true });
    expect(again.subscribed[0]!.streamPosition).toEqual(fresh.subscribed[0]!.streamPosition);
  });
});

describe("11.4 rights", () => {
  test("a removed connection does not come back", async () => {
    const listener = await subscribed("group:g");
    const [client] = clients;
    gateway.engine.revoke(({ id }) => id === "alice");
    const [{ code }] = (await once(client as never, "disconnected")) as [{ code: number }];
    expect(code).toBe(CLOSE.revoked.number);
    expect(listener.numbers).toEqual([]);
  });

  test("what a renewed token does not cover ends for good", async () => {
    const { ws, said } = await raw();
    ws.send('{"id":1,"connect":{"token":"chief"}}');
    await eventually(() => said.length === 1);
    ws.send('{"id":2,"subscribe":{"channel":"one:secret"}}');
    await eventually(() => said.length === 2);
    ws.send('{"id":3,"refresh":{"token":"chief@99999999999999"}}\n{"id":4,"refresh":{"token":"bob"}}');
    await eventually(() => said.length === 5);
    expect(said).toContainEqual({
      push: { channel: "one:secret", unsubscribe: { code: 2000, reason: "channel_forbidden" } },
    });
    expect(said).toContainEqual({ id: 4, error: { code: 103, message: expect.any(String), temporary: false } });
    ws.terminate();
  });
});

describe("11.6 presence and hints", () => {
  test("the stock client gets joins and leaves, the list and the statistics", async () => {
    const viewer = connect({ token: "viewer" }).newSubscription("group:g", { joinLeave: true });
    const said: string[] = [];
    viewer.on("join", ({ info }) => said.push(`+${info.user}`));
    viewer.on("leave", ({ info }) => said.push(`-${info.user}`));
    viewer.subscribe();
    await viewer.ready();
    const alice = connect().newSubscription("group:g", { data: { track: { name: "A" } } });
    alice.subscribe();
    await eventually(() => said.length === 1);
    const { clients: present } = await viewer.presence();
    expect(Object.values(present)).toMatchObject([
      { client: expect.stringMatching(/^con_/), user: "alice", connInfo: { name: "A" } },
    ]);
    expect(await viewer.presenceStats()).toEqual({ numClients: 1, numUsers: 1 });
    alice.unsubscribe();
    await eventually(() => said.length === 2);
    expect(said).toEqual(["+alice", "-alice"]);
  });

  test("a hint is published, and comes as a publication that moves no position", async () => {
    const [alice, bob] = [await subscribed("group:g"), await subscribed("group:g", { token: "bob" })];
    const hints: unknown[] = [];
    bob.subscription.on("publication", ({ data, offset, tags }) => hints.push([data, offset, tags]));
    await alice.subscription.publish({ hint: { kind: "typing", data: true } });
    await eventually(() => hints.length === 1);
    const hint = { from: "alice", kind: "typing", data: true };
    expect(hints).toEqual([[{ hint }, undefined, { type: "hint" }]]);
    await expect(alice.subscription.publish({ text: "hello" })).rejects.toMatchObject({ code: 108 });
  });
});

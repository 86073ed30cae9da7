// Tokens, keys and channels of docs/gateway-protocol.md §2 and §7, on a real nats-server with the gateway's own permissions.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { EventSource } from "eventsource";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { buildEvent, newId, TOPICS } from "@outcry/protocol";
import { generateKey, publicJwk } from "@outcry/signing";
import {
  createKey,
  eventually,
  intentEvent,
  type Key,
  serve,
  type Served,
  Socket,
  startWorld,
  token,
  type World,
} from "./service.fixture.js";

let world: World;
let served: Served;
let one: Key;
let other: Key;
const open: Socket[] = [];

beforeAll(async () => {
  world = await startWorld();
  served = await serve(world, { allowedOrigins: ["https://shop.example"] });
  one = await createKey(world, "backend");
  other = await createKey(world, "backend");
}, 30_000);
afterAll(async () => {
  await Promise.all(open.map((socket) => socket.close()));
  await served.close();
  await world.remove();
});

const as = async (secret: string) => {
  const socket = await Socket.open(served.url, secret);
  open.push(socket);
  return socket;
};

describe("channels", () => {
  test("7.1: a backend hears its intent, replay and live, in the public view", async () => {
    const intent = newId("int");
    await world.tell(one.backendId, "42", intent, 1);
    const socket = await as(one.secret);
    expect(await socket.sub(`intent:${intent}`, { from: "start" })).toBe("ok");
    await world.tell(one.backendId, "42", intent, 2);
    await eventually(() => socket.numbers(`intent:${intent}`).length === 2);
    expect(socket.numbers(`intent:${intent}`)).toEqual([1, 2]);
    const event = socket.messages.find((message) => message.d !== undefined)!;
    expect(event.e).toBe("INTENT_BROADCASTED");
    expect(Object.keys(event.d!)).toEqual([
      "id",
      "type",
      "schema_version",
      "protocol_version",
      "time",
      "topic",
      "trace_id",
      "data",
    ]);
    expect(JSON.stringify(event)).not.toContain("unpublished");
  });

  test("7.1: a subscription before the intent's first event hears it", async () => {
    const intent = newId("int");
    const socket = await as(one.secret);
    expect(await socket.sub(`intent:${intent}`, { from: "start" })).toBe("ok");
    await world.tell(one.backendId, undefined, intent, 1);
    await eventually(() => socket.numbers(`intent:${intent}`).length === 1);
  });

  test("7.2: two backends with the same buyer id never see each other's", async () => {
    const [mine, theirs] = [newId("int"), newId("int")];
    await world.tell(one.backendId, "same", mine, 1);
    await world.tell(other.backendId, "same", theirs, 100);
    const sockets = [await as(one.secret), await as(other.secret)] as const;
    for (const socket of sockets) {
      expect(await socket.sub("buyer:same", { from: "start" })).toBe("ok");
      for (const intent of [mine, theirs]) expect(await socket.sub(`intent:${intent}`, { from: "start" })).toBe("ok");
    }
    await world.tell(one.backendId, "same", mine, 2);
    await world.tell(other.backendId, "same", theirs, 101);
    await eventually(
      () => sockets[0].numbers("buyer:same").length === 2 && sockets[1].numbers("buyer:same").length === 2,
    );
    expect(sockets[0].numbers("buyer:same")).toEqual([1, 2]);
    expect(sockets[1].numbers("buyer:same")).toEqual([100, 101]);
    expect(sockets[0].numbers(`intent:${theirs}`)).toEqual([]);
    expect(sockets[1].numbers(`intent:${mine}`)).toEqual([]);
  });

  test("7.2: a cursor of one backend's buyer is refused at the other's of the same name", async () => {
    const [first, second] = [await as(one.secret), await as(other.secret)];
    const { ok } = await first.command({ op: "sub", ch: "buyer:same" });
    expect(await second.sub("buyer:same", { cur: ok!["c"] })).toBe("cursor_invalid");
  });

  test("7.1, 7.2, 3.10: a buyer's token opens what it names and nothing else, refused alike", async () => {
    const [named, unnamed] = [newId("int"), newId("int")];
    await world.tell(one.backendId, "7", named, 1);
    await world.tell(one.backendId, "8", unnamed, 2);
    const channels = [`intent:${named}`, "buyer:7", `backend:${one.backendId}`];
    const buyer = await as(token(world, { sub: "7", role: "buyer", backend: one.backendId, channels }));
    expect(await buyer.sub(`intent:${named}`, { from: "start" })).toBe("ok");
    expect(await buyer.sub("buyer:7", { from: "start" })).toBe("ok");
    await eventually(() => buyer.numbers("buyer:7").length === 1 && buyer.numbers(`intent:${named}`).length === 1);
    for (const channel of [
      `intent:${unnamed}`,
      `intent:${newId("int")}`,
      "buyer:8",
      `backend:${one.backendId}`,
      "node:x",
      "nothing:x",
    ]) {
      expect({ channel, code: await buyer.sub(channel) }).toEqual({ channel, code: "channel_forbidden" });
    }
    for (const channel of ["", "intent", "intent:", "Intent:x", "intent:a b", "intent:*"]) {
      expect({ channel, code: await buyer.sub(channel) }).toEqual({ channel, code: "channel_invalid" });
    }
  });

  test("7.3: a backend's own feed, and any for operators and admins", async () => {
    const operator = await createKey(world, "operator");
    const admin = await createKey(world, "admin");
    const feed = `backend:${one.backendId}`;
    const sockets = [await as(one.secret), await as(operator.secret), await as(admin.secret)];
    for (const socket of sockets) expect(await socket.sub(feed)).toBe("ok");
    expect(await (await as(other.secret)).sub(feed)).toBe("channel_forbidden");
    const intent = newId("int");
    expect(await sockets[1]!.sub(`intent:${intent}`)).toBe("ok");
    await world.tell(one.backendId, undefined, intent, 5);
    for (const socket of sockets) await eventually(() => socket.numbers(feed).includes(5));
    await eventually(() => sockets[1]!.numbers(`intent:${intent}`).length === 1);
  });

  test("7.4: a node hears what concerns it alone", async () => {
    const [mine, another] = [newId("nod"), newId("nod")];
    const node = await as(token(world, { sub: mine, role: "node", channels: [`node:${mine}`] }));
    expect(await node.sub(`node:${mine}`)).toBe("ok");
    for (const channel of [`node:${another}`, `backend:${one.backendId}`, `intent:${newId("int")}`]) {
      expect(await node.sub(channel)).toBe("channel_forbidden");
    }
    for (const [id, n] of [
      [another, 1],
      [mine, 2],
    ] as const)
      await world.append(TOPICS.node(id), intentEvent(TOPICS.node(id), newId("int"), n));
    await eventually(() => node.numbers(`node:${mine}`).length === 1);
    expect(node.numbers(`node:${mine}`)).toEqual([2]);
  });

  test("5.1: an event that is none is announced as unreadable", async () => {
    const intent = newId("int");
    const socket = await as(one.secret);
    await socket.sub(`intent:${intent}`);
    await world.append(TOPICS.intent(one.backendId, undefined, intent), ["no event"]);
    await eventually(() => socket.messages.some(({ e }) => e === "UNREADABLE"));
    expect(socket.messages.find(({ e }) => e === "UNREADABLE")).toMatchObject({ ch: `intent:${intent}`, d: null });
  });
});

describe("identity", () => {
  test.each([
    ["an unknown key", () => `ock_${newId("key").slice(4)}_${"A".repeat(43)}`],
    ["a key with one character changed", () => one.secret.slice(0, -1) + (one.secret.endsWith("A") ? "B" : "A")],
    ["no key at all", () => ""],
    [
      "a token of another audience's",
      () => token(world, { sub: "1", role: "buyer", backend: "b", aud: "elsewhere" } as never),
    ],
    ["a role that has no tokens", () => token(world, { sub: "1", role: "admin" })],
    ["a buyer of no backend", () => token(world, { sub: "1", role: "buyer" })],
    ["a node that is no id", () => token(world, { sub: "node", role: "node" })],
  ])("2.2: %s is refused", async (_name, secret) => {
    await expect(Socket.open(served.url, secret())).rejects.toThrow("credentials_invalid");
  });

  test("2.2: an expired token is told apart", async () => {
    const expired = token(world, { sub: "1", role: "buyer", backend: one.backendId, iat: 1_000, exp: 1_500 } as never);
    await expect(Socket.open(served.url, expired)).rejects.toThrow("token_expired");
  });

  test("2.5: a revoked key's connections are closed within a second, those of the backend's other key stay", async () => {
    const [leaked, kept] = [
      await createKey(world, "backend", one.backendId),
      await createKey(world, "backend", one.backendId),
    ];
    const sockets = [await as(leaked.secret), await as(leaked.secret), await as(kept.secret)];
    const revokedAt = performance.now();
    await leaked.revoke();
    await eventually(() => sockets[0]!.closed !== undefined && sockets[1]!.closed !== undefined);
    expect(performance.now() - revokedAt).toBeLessThan(1_000);
    expect(sockets.map(({ closed }) => closed)).toEqual([4503, 4503, undefined]);
    await expect(Socket.open(served.url, leaked.secret)).rejects.toThrow("credentials_invalid");
  });

  test("a revoked signing key's tokens open nothing and their connections are closed, those of another key stay", async () => {
    const stolen = generateKey();
    const record = publicJwk(stolen);
    await world.access.create(`signing-key.${stolen.kid}`, Buffer.from(JSON.stringify(record)));
    const claims = { sub: "42", role: "buyer", backend: one.backendId, channels: ["buyer:42"] };
    const forged = token({ ...world, signingKey: stolen }, claims);
    await eventually(() =>
      Socket.open(served.url, forged).then(
        () => true,
        () => false,
      ),
    );
    const sockets = [await as(forged), await as(token(world, claims))];
    const revoked = { ...record, revoked: new Date().toISOString() };
    await world.access.put(`signing-key.${stolen.kid}`, Buffer.from(JSON.stringify(revoked)));
    await eventually(() => sockets[0]!.closed !== undefined);
    expect(sockets.map(({ closed }) => closed)).toEqual([4503, undefined]);
    await expect(Socket.open(served.url, forged)).rejects.toThrow("credentials_invalid");
  });

  test("2.5: a suspended node's tokens are void from that moment", async () => {
    const node = newId("nod");
    const socket = await as(token(world, { sub: node, role: "node" }));
    const at = new Date().toISOString();
    await world.access.put(`revocation.U${"A".repeat(55)}`, Buffer.from(JSON.stringify({ at, node_id: node })));
    await eventually(() => socket.closed === 4503);
    await expect(
      Socket.open(
        served.url,
        token(world, { sub: node, role: "node", iat: Math.floor(Date.now() / 1_000) - 5 } as never),
      ),
    ).rejects.toThrow("credentials_invalid");
    const later = Math.floor(Date.now() / 1_000) + 1;
    await as(token(world, { sub: node, role: "node", iat: later, exp: later + 60 } as never));
  });
});

describe("publishEvent", () => {
  test("appends once per event id, answers after the stream has it, and reaches subscribers", async () => {
    const intent = newId("int");
    const channel = `intent:${intent}`;
    const socket = await as(one.secret);
    await socket.sub(channel);
    const topic = TOPICS.intent(one.backendId, "42", intent);
    const event = intentEvent(topic, intent, 9) as never;
    const first = await served.gateway.engine.publishEvent(channel, event);
    const again = await served.gateway.engine.publishEvent(channel, event);
    expect([first.kind, again.kind]).toEqual(["published", "repeated"]);
    expect(first).toMatchObject({ seq: (again as { seq: number }).seq });
    await eventually(() => socket.numbers(channel).length === 1);
  });

  test("refuses an event of another channel's topic, and what is no event", async () => {
    const { engine } = served.gateway;
    const intent = newId("int");
    const event = intentEvent(TOPICS.intent(one.backendId, "42", intent), intent, 1);
    expect(await engine.publishEvent(`intent:${newId("int")}`, event as never)).toMatchObject({
      kind: "refused",
      code: "channel_invalid",
    });
    expect(await engine.publishEvent(`backend:${other.backendId}`, event as never)).toMatchObject({
      kind: "refused",
      code: "channel_invalid",
    });
    expect(await engine.publishEvent(`intent:${intent}`, { ...event, id: "evt_x" })).toMatchObject({
      kind: "refused",
      code: "validation_failed",
    });
  });

  test("is not given to a gateway without a publisher, and its NATS user could not write", async () => {
    const gateway = await world.connect("gateway");
    await expect(gateway.request("rt.intent.a.b.c", Buffer.from("{}"), { timeoutMs: 300 })).rejects.toThrow("nats");
    await expect(
      gateway.request("$JS.API.STREAM.DELETE.EVENTS", Buffer.from("{}"), { timeoutMs: 300 }),
    ).rejects.toThrow("nats");
  });
});

describe("the plugin", () => {
  test("1.3: another path is answered with 404", async () => {
    const sent = request(`${served.url}/v1/other`, { headers: { Connection: "Upgrade", Upgrade: "websocket" } });
    sent.end();
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    expect(answer.statusCode).toBe(404);
    answer.resume();
  });

  test("5.6: closing the app sends everyone away first", async () => {
    const another = await serve(world);
    const socket = await Socket.open(another.url, one.secret);
    await another.close();
    await eventually(() => socket.closed !== undefined);
    expect(socket.closed).toBe(1012);
    expect(socket.messages.some((message) => "bye" in message)).toBe(true);
  });
});

describe("streams over HTTP", () => {
  const streamOf = (channel: string, secret: string): string =>
    `${served.url}/v1/stream?channel=${channel}&access_token=${secret}`;

  test("9.1, 9.2: a buyer's short token in the address opens what it names, for an EventSource too", async () => {
    const intent = newId("int");
    const buyer = { sub: "42", role: "buyer", backend: one.backendId, channels: [`intent:${intent}`] };
    const source = new EventSource(streamOf(`intent:${intent}`, token(world, buyer)));
    const heard: string[] = [];
    let subscribed = false;
    source.addEventListener("subscribed", () => (subscribed = true));
    source.addEventListener("message", ({ data }) => heard.push(String(data)));
    await eventually(() => subscribed);
    await world.tell(one.backendId, "42", intent, 1);
    await eventually(() => heard.length === 1);
    source.close();
    expect(heard[0]).not.toContain("unpublished");
    expect(JSON.parse(heard[0]!)).toMatchObject({ ch: `intent:${intent}`, e: "INTENT_BROADCASTED" });
  });

  test("9.5: an expired token ends an EventSource for good, and is said to others", async () => {
    const expired = token(world, { sub: "42", role: "buyer", backend: one.backendId, channels: ["buyer:42"] }, 60, 300);
    const asked = async (headers: Record<string, string>) =>
      (await fetch(streamOf("buyer:42", expired), { headers })).status;
    expect([await asked({ accept: "text/event-stream" }), await asked({})]).toEqual([204, 401]);
  });

  test("7.1, 9.5: what is not the caller's is refused as what does not exist", async () => {
    const theirs = newId("int");
    await world.tell(other.backendId, "42", theirs, 1);
    const asked = async (channel: string) => {
      const response = await fetch(streamOf(channel, one.secret));
      return [response.status, ((await response.json()) as { code: string }).code];
    };
    expect(await asked(`node:${newId("nod")}`)).toEqual([403, "channel_forbidden"]);
    expect(await asked(`backend:${other.backendId}`)).toEqual([403, "channel_forbidden"]);
  });

  test("9.7: a revoked key ends its streams within a second", async () => {
    const key = await createKey(world, "backend");
    const response = await fetch(streamOf(`backend:${key.backendId}`, key.secret));
    const reading = response.text();
    await key.revoke();
    const revokedAt = performance.now();
    expect(await reading).toContain('"code":"revoked"');
    expect(performance.now() - revokedAt).toBeLessThan(1_000);
    expect((await fetch(streamOf(`backend:${key.backendId}`, key.secret))).status).toBe(401);
  });

  test("9.1: other paths go on to Fastify", async () => {
    const response = await fetch(`${served.url}/v1/streams`);
    expect([response.status, response.headers.get("content-type")]).toEqual([404, "application/json; charset=utf-8"]);
  });
});

describe("presence and views", () => {
  test("12.1: a backend sees its buyer come and go, over two gateway processes", async () => {
    const second = await serve(world);
    const intent = newId("int");
    const channel = `intent:${intent}`;
    const backend = await as(one.secret);
    expect(await backend.sub(channel, { presence: true })).toBe("ok");
    const names = () => backend.messages.flatMap(({ pres }) => Object.keys((pres as { joins?: object })?.joins ?? {}));
    const buyerToken = token(world, { sub: "7", role: "buyer", backend: one.backendId, channels: [channel] });
    const buyer = await Socket.open(second.url, buyerToken);
    expect(await buyer.sub(channel, { track: { page: "offer" } })).toBe("ok");
    await eventually(() => names().length === 1);
    expect(names()).toEqual(["buyer:7"]);
    expect((await buyer.command({ op: "hint", ch: channel, kind: "typing", data: true })).err).toBeUndefined();
    await eventually(() => backend.messages.some(({ hint }) => (hint as { from?: string })?.from === "buyer:7"));
    await buyer.close();
    await second.close();
  });

  test("12.6: an operator sees who is there and is not seen", async () => {
    const operator = await createKey(world, "operator");
    const socket = await as(operator.secret);
    const channel = `intent:${newId("int")}`;
    expect(await socket.sub(channel, { presence: true })).toBe("ok");
    expect((await socket.command({ op: "track", ch: channel, info: {} })).err?.code).toBe("permission_denied");
  });

  test("7.6: a buyer is not shown how quotes are weighed, nor why nodes declined", async () => {
    const intent = newId("int");
    const channel = `intent:${intent}`;
    const sockets = [
      await as(one.secret),
      await as(token(world, { sub: "7", role: "buyer", backend: one.backendId, channels: [channel] })),
    ];
    for (const socket of sockets) await socket.sub(channel);
    const topic = TOPICS.intent(one.backendId, "7", intent);
    const response = {
      node_id: newId("nod"),
      kind: "ack",
      status: "declined",
      reason: "busy",
      received_at: "",
    } as const;
    const responded = { intent_id: intent, responses: [{ ...response, signature: "e30" }] };
    await world.append(topic, buildEvent("NODE_RESPONDED", responded, { topic, traceId: "0".repeat(32) }));
    const data = async (socket: Socket) => {
      await eventually(() => socket.messages.some(({ e }) => e === "NODE_RESPONDED"));
      const event = socket.messages.find(({ e }) => e === "NODE_RESPONDED")!.d as unknown as { data: typeof responded };
      return Object.keys(event.data.responses[0]!);
    };
    expect(await data(sockets[0]!)).toEqual(expect.arrayContaining(["reason", "signature"]));
    expect(await data(sockets[1]!)).toEqual(["node_id", "kind", "status", "received_at"]);
  });
});

// Rights that are taken back while a replay runs (docs/gateway-protocol.md §2.3, §2.5, §7.5): it ends within a second, and nothing follows.
// The replay goes event by event, so that it is still running when the right is gone.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { newId, TOPICS } from "@outcry/protocol";
import { generateKey, publicJwk } from "@outcry/signing";
import {
  createKey,
  eventually,
  intentEvent,
  json,
  type Key,
  serve,
  type Served,
  Socket,
  startWorld,
  token,
  type World,
} from "./service.fixture.js";

const EVENTS = 3_000;
const SLOW = { replayMessages: 1, ringEventsMax: 1 };

let world: World;
let served: Served;
let owner: Key;
const node = newId("nod");

beforeAll(async () => {
  world = await startWorld();
  owner = await createKey(world, "backend");
  const topics = [TOPICS.intent(owner.backendId, "42", newId("int")), TOPICS.node(node)];
  for (let n = 1; n <= EVENTS; n += 100) {
    const batch = Array.from({ length: 100 }, (_, at) =>
      topics.map((topic) => world.append(topic, intentEvent(topic, newId("int"), n + at))),
    );
    await Promise.all(batch.flat());
  }
  served = await serve(world, { limits: SLOW });
}, 60_000);
afterAll(async () => {
  await served.close();
  await world.remove();
});

/** In the middle of a replay from the start. */
async function replaying(secret: string, channel: string): Promise<Socket> {
  const socket = await Socket.open(served.url, secret);
  expect(await socket.sub(channel, { from: "start" })).toBe("ok");
  await eventually(() => socket.numbers(channel).length > 10);
  return socket;
}

/** Within a second, and long before the end. */
async function endsIn(socket: Socket, channel: string, since: number, hasEnded: () => boolean): Promise<void> {
  await eventually(hasEnded);
  expect(performance.now() - since).toBeLessThan(1_000);
  const { length } = socket.numbers(channel);
  expect(length).toBeLessThan(EVENTS);
  await world.append(TOPICS.node(node), intentEvent(TOPICS.node(node), newId("int"), 0));
  if (socket.closed === undefined) await socket.command({ op: "ping" });
  expect(socket.numbers(channel)).toHaveLength(length);
}

describe("rights taken back during a replay", () => {
  test("2.5: a revoked key ends it with 4503", async () => {
    const key = await createKey(world, "backend", owner.backendId);
    const channel = `backend:${owner.backendId}`;
    const socket = await replaying(key.secret, channel);
    const since = performance.now();
    await key.revoke();
    await endsIn(socket, channel, since, () => socket.closed === 4503);
    await expect(Socket.open(served.url, key.secret)).rejects.toThrow("credentials_invalid");
  });

  test("a revoked signing key ends it with 4503", async () => {
    const signingKey = generateKey();
    const record = publicJwk(signingKey);
    await world.access.create(`signing-key.${signingKey.kid}`, json(record));
    const claims = { sub: "42", role: "buyer", backend: owner.backendId, channels: ["buyer:42"] };
    const secret = token({ ...world, signingKey }, claims);
    await eventually(() =>
      Socket.open(served.url, secret).then(
        (socket) => socket.close().then(() => true),
        () => false,
      ),
    );
    const socket = await replaying(secret, "buyer:42");
    const since = performance.now();
    await world.access.put(`signing-key.${signingKey.kid}`, json({ ...record, revoked: new Date().toISOString() }));
    await endsIn(socket, "buyer:42", since, () => socket.closed === 4503);
  });

  test("2.3: a renewed token without the channel ends it with `end`", async () => {
    const claims = { sub: "42", role: "buyer", backend: owner.backendId };
    const socket = await replaying(token(world, { ...claims, channels: ["buyer:42"] }), "buyer:42");
    const since = performance.now();
    await socket.command({ op: "auth", token: token(world, { ...claims, channels: [] }) });
    const ended = () => socket.messages.some((message) => message.ch === "buyer:42" && "end" in message);
    await endsIn(socket, "buyer:42", since, ended);
    expect(await socket.sub("buyer:42")).toBe("channel_forbidden");
    await socket.close();
  });

  test("2.5: a suspended node's ends with 4503", async () => {
    const channel = `node:${node}`;
    const socket = await replaying(token(world, { sub: node, role: "node" }), channel);
    const since = performance.now();
    await world.access.put(`revocation.U${"A".repeat(55)}`, json({ at: new Date().toISOString(), node_id: node }));
    await endsIn(socket, channel, since, () => socket.closed === 4503);
  });
});

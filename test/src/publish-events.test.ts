// POST /v1/channels/{channel}/events: stored once by its id before it is answered, heard by whoever may open the channel.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  derivedId,
  type Event,
  type EventType,
  newId,
  PROTOCOL_VERSION,
  type PublishAnswer,
  PUBLISHABLE_TYPES,
  STREAMS,
  type TokenCreated,
  TOPICS,
} from "@outcry/protocol";
import type { Backend, Call } from "./api-calls.js";
import { type GatewayProcess, GatewaySocket, startGateway } from "./gateways.js";
import { eventually, type Market, startMarket } from "./in-process.js";

let market: Market;
let gateway: GatewayProcess;
let backend: Backend;
let other: Backend;
let intent: string;
let topic: string;
const sockets: GatewaySocket[] = [];

beforeAll(async () => {
  market = await startMarket();
  gateway = await startGateway(market);
  [backend, other] = [await market.backend(), await market.backend("other")];
  intent = await anIntent();
  topic = TOPICS.intent(backend.id, "42", intent);
}, 60_000);
afterAll(async () => {
  for (const socket of sockets) await socket.close();
  await gateway?.stop();
  await market?.stop();
}, 30_000);

const anIntent = async () =>
  backend.broadcast({ buyer_id: "42", routing: { targets: [(await market.register()).id] } });

const order = (more: object = {}) => ({ id: newId("evt"), type: "ORDER_CREATED", data: { order_id: "4711" }, ...more });

const publish = (channel: string, event: object, call: Call = backend.call) =>
  call<PublishAnswer & { code: string; errors: { pointer: string }[] }>(
    "POST",
    `/v1/channels/${encodeURIComponent(channel)}/events`,
    event,
  );

const storedOn = async (subject: string) =>
  (await market.stored(STREAMS.events, subject)).map(({ data }) => JSON.parse(Buffer.from(data).toString()) as Event);

async function listener(token: string, channel: string): Promise<GatewaySocket> {
  const socket = await GatewaySocket.open(gateway, token);
  sockets.push(socket);
  expect(await socket.sub(channel)).toBe("ok");
  return socket;
}

describe("POST /v1/channels/{channel}/events", () => {
  test("is stored when it is answered, filled in, and heard by the intent's and the buyer's channels", async () => {
    const channels = [`intent:${intent}`, "buyer:42"];
    const made = await backend.call<TokenCreated>("POST", "/v1/tokens", { buyer_id: "42", channels });
    const heard = await Promise.all(channels.map((channel) => listener(made.body.token, channel)));
    const event = order();
    const answer = await publish(`intent:${intent}`, event);
    expect(answer).toMatchObject({ status: 201 });
    expect(answer.body).toEqual({ id: event.id, channel: `intent:${intent}`, topic, status: "published" });
    const stored = (await storedOn(topic)).filter(({ id }) => id === event.id);
    expect(stored).toEqual([
      {
        ...event,
        topic,
        schema_version: 1,
        protocol_version: PROTOCOL_VERSION,
        time: expect.stringMatching(/Z$/),
        trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      },
    ]);
    await eventually(() => heard.every((socket, at) => socket.events(channels[at]!).includes(event.id)));
    expect((await backend.call<{ data: unknown }>("GET", "/v1/events?types=ORDER_CREATED")).status).toBe(200);
  });

  test("is there once, however often and in parallel it is sent", async () => {
    const event = order({ time: new Date().toISOString(), topic });
    const answers = await Promise.all(Array.from({ length: 8 }, () => publish(`intent:${intent}`, event)));
    const told = answers.map(({ status, body }) => `${status} ${body.status}`);
    expect(told.toSorted()).toEqual([...Array.from({ length: 7 }, () => "200 repeated"), "201 published"]);
    expect((await publish(`intent:${intent}`, event)).body.status).toBe("repeated");
    expect((await storedOn(topic)).filter(({ id }) => id === event.id)).toHaveLength(1);
  });

  test("right behind the post of its intent it never comes before the intent's own first event", async () => {
    for (let round = 0; round < 5; round++) {
      const fresh = await anIntent();
      expect((await publish(`intent:${fresh}`, order())).status).toBe(201);
      const types = (await storedOn(TOPICS.intent(backend.id, "42", fresh))).map(({ type }) => type as string);
      expect([types[0], types.includes("ORDER_CREATED")]).toEqual(["INTENT_CREATED", true]);
    }
  });

  test("another's intent, one that is not there, and other kinds of channels are one answer", async () => {
    const node = (await market.register()).id;
    const before = (await market.stored(STREAMS.events)).length;
    for (const [channel, call] of [
      [`intent:${intent}`, other.call],
      [`intent:${newId("int")}`, backend.call],
      [`intent:${newId("int")}`, market.admin],
      [`node:${node}`, backend.call],
      [`node:${newId("nod")}`, market.admin],
      ["buyer:42", backend.call],
      [`backend:${backend.id}`, backend.call],
      ["echo:one", market.admin],
    ] as const)
      expect([channel, (await publish(channel, order(), call)).body.code]).toEqual([channel, "channel_forbidden"]);
    expect((await publish("intent", order())).body.code).toBe("channel_invalid");
    expect((await market.stored(STREAMS.events)).length).toBe(before);
  });

  test("admins publish on any intent and node", async () => {
    expect((await publish(`intent:${intent}`, order(), market.admin)).status).toBe(201);
    const node = (await market.register()).id;
    const event = order({ type: "REPUTATION_UPDATED", data: { node_id: node, score: 9 } });
    expect((await publish(`node:${node}`, event, market.admin)).body.topic).toBe(TOPICS.node(node));
    expect((await storedOn(TOPICS.node(node))).map(({ id }) => id)).toContain(event.id);
    expect((await publish(`intent:${intent}`, order(), await market.operator())).status).toBe(403);
  });

  test("a wrong topic, type, id, version or subject is named, and nothing is stored", async () => {
    const before = (await market.stored(STREAMS.events)).length;
    const cases: [more: object, code: string, pointer: string][] = [
      [{ topic: TOPICS.intent(backend.id, "43", intent) }, "channel_invalid", "/topic"],
      [{ topic: "rt.intent.*.*.x" }, "channel_invalid", "/topic"],
      [{ type: "NO_SUCH_TYPE" }, "validation_failed", "/type"],
      [{ type: "INTENT_CLOSED" satisfies EventType }, "event_type_reserved", "/type"],
      [{ type: "constructor" }, "validation_failed", "/type"],
      [{ id: derivedId("evt", "INTENT_CLOSED", intent) }, "validation_failed", "/id"],
      [{ id: "evt_1" }, "validation_failed", "/id"],
      [{ protocol_version: "999" }, "version_unknown", "/protocol_version"],
      [{ data: { intent_id: newId("int") } }, "validation_failed", "/data/intent_id"],
      [{ data: [] }, "validation_failed", "/data"],
      [{ trace_id: "x" }, "validation_failed", "/trace_id"],
    ];
    for (const [more, code, pointer] of cases) {
      const { body } = await publish(`intent:${intent}`, order(more));
      expect([more, body.code, body.errors.map((error) => error.pointer)]).toEqual([more, code, [pointer]]);
    }
    expect((await market.stored(STREAMS.events)).length).toBe(before);
    expect(PUBLISHABLE_TYPES).toContain("ORDER_CREATED");
  });

  test("the intent still ends as it would, and its story is whole", async () => {
    const node = await market.register();
    const fresh = await backend.broadcast({ buyer_id: "42", routing: { targets: [node.id] } });
    for (const type of PUBLISHABLE_TYPES) expect((await publish(`intent:${fresh}`, order({ type }))).status).toBe(201);
    expect((await backend.call("POST", `/v1/intents/${fresh}/close`, {})).status).toBe(200);
    expect(await market.ended(backend, fresh)).toBe("closed");
    expect((await publish(`intent:${fresh}`, order())).status).toBe(201); // deals go on behind the end
    const types = (await market.eventsOf(fresh)).map(({ type }) => type as string);
    expect(types.filter((type) => !PUBLISHABLE_TYPES.includes(type))).toEqual([
      "INTENT_CREATED",
      "INTENT_BROADCASTED",
      "INTENT_CLOSED",
    ]);
    expect((await backend.call("GET", `/v1/intents/${fresh}/timeline`)).status).toBe(200);
  });
});

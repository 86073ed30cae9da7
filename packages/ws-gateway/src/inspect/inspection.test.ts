// What a process answers to operators' questions, over a real NATS, and how each kind of client takes being kicked.

import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Backbone } from "@outcry/backbone";
import { newId } from "@outcry/protocol";
import { Centrifuge } from "centrifuge";
import { EventSource } from "eventsource";
import { Socket } from "phoenix";
import { WebSocket } from "ws";
import { startGateway, TestClient, type TestGateway } from "../engine.fixture.js";
import { MemorySource } from "../log/memory-source.fixture.js";
import type { GatewayLimits } from "../limits.js";
import { eventually, startTestNats, type TestNats } from "../nats-server.fixture.js";
import { natsBus } from "../presence/process-bus.js";
import {
  decodeAnswer,
  decodeHere,
  encodeInspect,
  INSPECT_SUBJECTS,
  type InspectAnswer,
  type InspectQuestion,
} from "./inspect-wire.js";

let nats: TestNats;
let backbone: Backbone;
let source: MemorySource;
const gateways: TestGateway[] = [];

beforeAll(async () => {
  nats = await startTestNats();
  backbone = await nats.connect();
}, 30_000);
afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway.stop();
});
afterAll(() => nats.remove());

async function gatewayNamed(name: string, limits: Partial<GatewayLimits> = {}): Promise<TestGateway> {
  source = new MemorySource();
  const gateway = await startGateway(source, { name, bus: natsBus(backbone), limits });
  gateways.push(gateway);
  await backbone.flush();
  return gateway;
}

/** The first answer of that process. */
async function ask<K extends InspectQuestion["kind"]>(process: string, question: InspectQuestion & { kind: K }) {
  const id = newId("msg");
  let found: InspectAnswer | undefined;
  const listening = backbone.subscribe(INSPECT_SUBJECTS.answer(id), ({ data }) => {
    const answer = decodeAnswer(data);
    if (answer?.process === process) found = answer;
  });
  backbone.publish(INSPECT_SUBJECTS.ask, encodeInspect({ ask: id, ...question }));
  await eventually(() => found !== undefined);
  listening.close();
  return found as InspectAnswer & { kind: K };
}

const idOf = async (process: string, principal: string): Promise<string> => {
  let id: string | undefined;
  await eventually(async () => {
    const answer = await ask(process, { kind: "list", filter: { principal }, limit: 1 });
    id = answer.connections[0]?.id;
    return id !== undefined;
  });
  return id!;
};

test("a reader that takes nothing is shown catching up, with its position and its queue", async () => {
  const gateway = await gatewayNamed("slow", { queueBytesMax: 64 * 1024, stallMs: 60_000, lagMs: 60_000 });
  const slow = await TestClient.open(gateway.url, "slow");
  const { ok } = await slow.command({ op: "sub", ch: "all:" });
  expect(ok?.ch).toBe("all:");
  slow.ws.pause();
  const text = "x".repeat(20_000);
  let n = 0;
  const id = await idOf("slow", "slow");
  const look = async () => (await ask("slow", { kind: "get", id })).connection!;
  let seen = await look();
  await eventually(async () => {
    for (let more = 0; more < 50; more++) source.publish("rt.t.g.x", ++n, { text });
    await sleep(5);
    seen = await look(); // that one: a moment later the system's own buffers may have taken more
    return seen.subscriptions[0]!.state === "catching_up";
  }, 20_000);
  const { subscriptions, queue, head, protocol, role } = seen;
  expect({ protocol, role, head }).toEqual({ protocol: "outcry.v1", role: "buyer", head: n });
  expect(subscriptions[0]).toMatchObject({ channel: "all:", state: "catching_up", behind_ms: expect.any(Number) });
  expect(subscriptions[0]!.position).toBeGreaterThan(0);
  expect(subscriptions[0]!.position).toBeLessThan(head);
  expect(queue.bytes).toBeGreaterThan(0);
  expect(queue.frames).toBeGreaterThan(0);
  slow.ws.resume();
  await eventually(() => slow.numbers("all:").length === n, 20_000);
  await eventually(async () => (await look()).subscriptions[0]!.state === "live");
  expect((await look()).subscriptions[0]).toEqual({ channel: "all:", state: "live", position: n });
  await slow.close();
}, 60_000);

test("who has not said who it is is anonymous, and is not shown with a token", async () => {
  const gateway = await gatewayNamed("anonymous");
  const client = new TestClient(gateway.url);
  await once(client.ws, "open");
  await TestClient.open(gateway.url, "secret-token");
  const answer = await ask("anonymous", { kind: "list", filter: { role: "anonymous" }, limit: 10 });
  expect(answer).toMatchObject({ matched: 1, connections: [{ role: "anonymous", channels: 0 }] });
  expect(answer.connections[0]).not.toHaveProperty("principal");
  expect((await ask("anonymous", { kind: "list", filter: {}, limit: 1 })).connections).toHaveLength(1);
});

test("a process says that it is there, when asked and at its start, and that it goes", async () => {
  const heard: string[] = [];
  const listening = backbone.subscribe(INSPECT_SUBJECTS.here, ({ data }) => {
    const { process, gone } = decodeHere(data)!;
    heard.push(`${process} ${gone === true ? "gone" : "here"}`);
  });
  await backbone.flush();
  const gateway = await gatewayNamed("told");
  await eventually(() => heard.includes("told here"));
  heard.length = 0;
  backbone.publish(INSPECT_SUBJECTS.ask, encodeInspect({ kind: "who" }));
  await eventually(() => heard.includes("told here"));
  gateway.engine.stop();
  await eventually(() => heard.includes("told gone"));
  listening.close();
});

test("kicked, no stock client comes back by itself", async () => {
  const gateway = await gatewayNamed("kicking");
  const { port } = gateway;
  const native = await TestClient.open(gateway.url, "native");
  const phoenix = new Socket(`ws://127.0.0.1:${port}/socket`, {
    transport: WebSocket,
    reconnectAfterMs: () => 20,
    rejoinAfterMs: () => 20,
    params: { token: "phoenix" },
  });
  phoenix.connect();
  const topic = phoenix.channel("group:g", {});
  let joins = 0;
  topic.join().receive("ok", () => joins++);
  const centrifuge = new Centrifuge(`ws://127.0.0.1:${port}/connection/websocket`, {
    token: "centrifuge",
    websocket: WebSocket,
    minReconnectDelay: 20,
    maxReconnectDelay: 40,
  });
  const disconnects: number[] = [];
  centrifuge.on("disconnected", ({ code }) => disconnects.push(code));
  centrifuge.connect();
  const stream = new EventSource(`http://127.0.0.1:${port}/v1/stream?channel=group:g&access_token=sse`);
  let opened = 0;
  const byes: string[] = [];
  stream.addEventListener("open", () => opened++);
  stream.addEventListener("bye", ({ data }) => byes.push(data as string));
  await eventually(() => joins === 1 && opened === 1);

  for (const name of ["native", "phoenix", "centrifuge", "sse"]) {
    const answer = await ask("kicking", { kind: "kick", id: await idOf("kicking", name) });
    expect(answer.connection!.principal).toBe(name);
  }
  await eventually(() => native.closed !== undefined && disconnects.length === 1 && byes.length === 1);
  expect(native.closed!.code).toBe(4504);
  expect(disconnects).toEqual([4504]);
  expect(JSON.parse(byes[0]!)).toMatchObject({ bye: { code: "kicked", after_ms: 24 * 3_600_000 } });
  await eventually(() => topic.state === "closed"); // its socket does come back, and joins nothing again
  await eventually(() => phoenix.isConnected());
  const list = await ask("kicking", { kind: "list", filter: {}, limit: 10 });
  expect(list.connections.map(({ principal, channels }) => [principal, channels])).toEqual([["phoenix", 0]]);
  expect([joins, opened, gateway.closed]).toEqual([1, 1, ["kicked", "kicked", "kicked", "kicked"]]);
  phoenix.disconnect();
  centrifuge.disconnect();
  stream.close();
}, 30_000);

// Handshakes that are slow, wrong, too large or too many: docs/gateway-protocol.md §1.3, §2.1. Each wait and each bound has a name in
// limits.ts; a subscriber beside them goes on to hear everything.

import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { startGateway, TestClient, type TestGateway } from "../engine.fixture.js";
import type { GatewayLimits } from "../limits.js";
import { MemorySource } from "../log/memory-source.fixture.js";
import { RawPeer, UPGRADE_REQUEST } from "../native/rfc6455/raw-peer.fixture.js";
import { eventually } from "../nats-server.fixture.js";
import { HANDSHAKE, upgrade } from "./upgrade.fixture.js";

const QUICK = { headersMs: 300, headersCheckMs: 20, sweepMs: 10 };
const WITHIN_MS = 3_000; // on a busy machine; Node's own limits are 60 s

let source: MemorySource;
let gateway: TestGateway;
let neighbour: TestClient;
const sockets: Socket[] = [];

async function start(limits: Partial<GatewayLimits> = {}): Promise<void> {
  source = new MemorySource();
  gateway = await startGateway(source, { limits: { ...QUICK, ...limits } });
  neighbour = await TestClient.open(gateway.url, "neighbour");
  await neighbour.subscribe("all:");
}

async function stop(): Promise<void> {
  for (const socket of sockets.splice(0)) socket.destroy();
  await neighbour.close();
  await gateway.stop();
}

async function restart(limits: Partial<GatewayLimits>): Promise<void> {
  await stop();
  await start(limits);
}

beforeEach(() => start());
afterEach(stop);

async function tcp(): Promise<{ socket: Socket; heard: () => string; over: () => boolean }> {
  const socket = connect({ port: Number(new URL(gateway.url).port), host: "127.0.0.1", allowHalfOpen: true });
  sockets.push(socket);
  let text = "";
  let ended = false;
  socket.on("data", (chunk) => (text += String(chunk)));
  socket.on("end", () => (ended = true));
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return { socket, heard: () => text, over: () => ended || socket.destroyed };
}

const openSockets = () =>
  new Promise<number>((resolve, reject) =>
    gateway.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  );

/** Nothing but the neighbour is left, and it still hears. */
async function onlyNeighbourIsLeft(): Promise<void> {
  source.publish("rt.t.g.x", 1);
  await eventually(() => neighbour.numbers("all:").length > 0);
  await eventually(async () => (await openSockets()) === 1, WITHIN_MS);
  expect(gateway.engine.connections).toBe(1);
}

describe("slow handshakes", () => {
  const HALF = UPGRADE_REQUEST.slice(0, UPGRADE_REQUEST.length / 2);

  test.each([
    ["half a request, then silence", HALF],
    ["nothing at all", ""],
    ["a request line", "GET /v1/ws HTTP/1.1\r\n"],
    ["everything but the last byte", UPGRADE_REQUEST.slice(0, -1)],
  ])("headersMs: %s is answered with 408 and the socket closed", async (_name, text) => {
    const { socket, heard, over } = await tcp();
    socket.write(text);
    await eventually(over, WITHIN_MS);
    expect(heard()).toMatch(/^HTTP\/1\.1 408 /);
    await onlyNeighbourIsLeft();
  });

  test("headersMs: a request whose headers dribble without end is closed, too", async () => {
    const { socket, over } = await tcp();
    socket.write("GET /v1/ws HTTP/1.1\r\n");
    const dribble = setInterval(() => socket.write("a: b\r\n"), 10);
    await eventually(over, WITHIN_MS);
    clearInterval(dribble);
    await onlyNeighbourIsLeft();
  });

  test("a request that dribbles, but in time, is upgraded", async () => {
    await restart({ headersMs: 10_000 });
    const { socket, heard } = await tcp();
    for (const character of UPGRADE_REQUEST) socket.write(character);
    await eventually(() => heard().startsWith("HTTP/1.1 101 "));
  });

  test("2.1: upgraded and then silent, or dribbling its token, is closed with 4015", async () => {
    await restart({ authMs: 200 });
    const silent = await RawPeer.open(gateway.url);
    const dribbling = await RawPeer.open(gateway.url);
    const dribble = setInterval(() => dribbling.socket.write("x"), 10);
    dribbling.socket.write(Buffer.of(0x81, 0xfe, 0xff, 0xff, 0, 0, 0, 0));
    for (const peer of [silent, dribbling]) await peer.until(() => peer.over);
    clearInterval(dribble);
    expect([silent.closes, dribbling.closes]).toEqual([[4015], [4015]]);
    await onlyNeighbourIsLeft();
  });
});

describe("wrong handshakes", () => {
  test.each([
    ["no key", { "Sec-WebSocket-Key": "" }, 400],
    ["a short key", { "Sec-WebSocket-Key": "c2hvcnQ=" }, 400],
    ["another Upgrade", { Upgrade: "h2c" }, 400],
    ["an empty version", { "Sec-WebSocket-Version": "" }, 426],
    ["the version of a draft", { "Sec-WebSocket-Version": "8" }, 426],
    ["a later version", { "Sec-WebSocket-Version": "14" }, 426],
    ["a subprotocol that is no token", { "Sec-WebSocket-Protocol": "outcry.v1,," }, 400],
  ])("1.3: %s is a problem", async (_name, headers, status) => {
    const answer = await upgrade(gateway.url, { ...HANDSHAKE, ...headers });
    expect(answer.headers["content-type"]).toBe("application/problem+json");
    expect([answer.status, JSON.parse(answer.body)]).toEqual([
      status,
      expect.objectContaining({ code: "request_invalid", status }),
    ]);
    expect(answer.headers["sec-websocket-version"]).toBe(status === 426 ? "13" : undefined); // RFC 6455 §4.4
    await onlyNeighbourIsLeft();
  });

  test("1.3: an upgrade by POST is a problem", async () => {
    const { socket, heard } = await tcp();
    socket.write(UPGRADE_REQUEST.replace("GET", "POST"));
    await eventually(() => heard().includes("method_not_allowed"), WITHIN_MS);
    expect(heard()).toMatch(/^HTTP\/1\.1 405 /);
  });

  test("headersBytesMax: headers that are too large are answered with 431", async () => {
    const { socket, heard, over } = await tcp();
    socket.write(UPGRADE_REQUEST.replace("Host:", `Cookie: ${"x".repeat(17 * 1024)}\r\nHost:`));
    await eventually(() => heard() !== "" && over(), WITHIN_MS);
    expect(heard()).toMatch(/^HTTP\/1\.1 431 /);
    await onlyNeighbourIsLeft();
  });

  test("1.3: the socket of a refused upgrade is closed, also when its peer never closes its own side", async () => {
    for (let count = 0; count < 20; count++) {
      const { socket, heard } = await tcp();
      socket.write(UPGRADE_REQUEST.replace("Version: 13", "Version: 13\r\nSec-WebSocket-Protocol: other"));
      await eventually(() => heard().includes("request_invalid"), WITHIN_MS);
    }
    await onlyNeighbourIsLeft();
  });
});

describe("many handshakes", () => {
  test("unauthenticatedMax: sockets without identity fill their bound alone, and make room after authMs", async () => {
    await restart({ unauthenticatedMax: 50, authMs: 1_500 });
    const silent = await Promise.all(Array.from({ length: 50 }, () => RawPeer.open(gateway.url)));
    expect((await upgrade(gateway.url)).status).toBe(503);
    source.publish("rt.t.g.x", 1);
    await eventually(() => neighbour.numbers("all:").length === 1);
    for (const peer of silent) await peer.until(() => peer.over);
    expect(new Set(silent.flatMap(({ closes }) => closes))).toEqual(new Set([4015]));
    await (await TestClient.open(gateway.url)).close();
    await onlyNeighbourIsLeft();
  });

  test("socketsMax: TCP connections beyond it are dropped, those within are served", async () => {
    await restart({ socketsMax: 10, headersMs: 2_000 });
    const pending = await Promise.all(Array.from({ length: 30 }, () => tcp()));
    await eventually(() => pending.filter(({ over }) => over()).length === 21, WITHIN_MS);
    expect(await openSockets()).toBe(10);
    source.publish("rt.t.g.x", 1);
    await eventually(() => neighbour.numbers("all:").length === 1);
    await sleep(0);
    await onlyNeighbourIsLeft();
    await (await TestClient.open(gateway.url)).close();
  });
});

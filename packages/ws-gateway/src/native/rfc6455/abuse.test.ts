// Peers that keep to the form of RFC 6455 and abuse it: floods, fragments without end, frames that never come whole, closes that are not
// answered. Each ends with a code of docs/gateway-protocol.md §6 within its limit, holds a bounded memory, and leaves its neighbour alone.

import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { once } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { startGateway, TestClient, type TestGateway } from "../../engine.fixture.js";
import { GATEWAY_LIMITS, type GatewayLimits } from "../../limits.js";
import { MemorySource } from "../../log/memory-source.fixture.js";
import { eventually } from "../../nats-server.fixture.js";
import { command } from "./case.fixture.js";
import { chopped, closeFrame, frame, OP } from "./frames.fixture.js";
import { RawPeer } from "./raw-peer.fixture.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const QUICK = { sweepMs: 10, pingMs: 200, pongMs: 100, closeMs: 200 };

let source: MemorySource;
let gateway: TestGateway;
let neighbour: TestClient;
let published = 0;

async function start(limits: Partial<GatewayLimits> = {}): Promise<void> {
  source = new MemorySource();
  published = 0;
  gateway = await startGateway(source, { limits });
  neighbour = await TestClient.open(gateway.url, "neighbour");
  await neighbour.subscribe("all:");
}

async function stop(): Promise<void> {
  await neighbour.close();
  await gateway.stop();
}

beforeEach(() => start());
afterEach(stop);

async function neighbourHears(): Promise<void> {
  source.publish("rt.t.g.x", ++published);
  await eventually(() => neighbour.numbers("all:").at(-1) === published);
  expect(neighbour.closed).toBeUndefined();
}

async function gone(): Promise<void> {
  await eventually(() => gateway.engine.connections === 1);
  expect(gateway.engine.hub.groups).toBe(1);
  await neighbourHears();
}

describe("floods", () => {
  const MANY = 1_000;
  const repeated = (bytes: Buffer) => [Buffer.concat(Array.from({ length: MANY }, () => bytes))];

  test.each([
    ["commands", repeated(frame(OP.text, command("e")))],
    ["commands in one frame", [frame(OP.text, `${command("e")}\n`.repeat(MANY))]],
    ["texts without a command", repeated(frame(OP.text))],
    ["texts of empty lines", repeated(frame(OP.text, "\n\n\n"))],
    ["pings", repeated(frame(OP.ping, "x".repeat(125)))],
    ["pongs", repeated(frame(OP.pong))],
  ])("3.8: %s are answered with 4013", async (_name, write) => {
    const peer = await RawPeer.subscribed(gateway.url);
    const begun = performance.now();
    await peer.write(write);
    await peer.until(() => peer.over);
    expect({ failure: peer.failure, closes: peer.closes }).toEqual({ failure: undefined, closes: [4013] });
    const { commandsBurst, commandsPerSecond } = GATEWAY_LIMITS;
    const allowed = commandsBurst + (commandsPerSecond * (performance.now() - begun)) / 1_000; // it fills up while a busy machine reads
    expect(peer.pongs.length).toBeLessThanOrEqual(allowed);
    await gone();
  });

  test("3.8: fragments of one byte, and empty ones, end at the 1,025th with 1008", async () => {
    for (const payload of ["x", ""]) {
      const peer = await RawPeer.subscribed(gateway.url);
      await peer.write([frame(OP.text, payload, { fin: false })]);
      const more = frame(OP.continuation, payload, { fin: false });
      await peer.write([Buffer.concat(Array.from({ length: 1_023 }, () => more))]);
      await neighbourHears();
      expect({ over: peer.over, connections: gateway.engine.connections }).toEqual({ over: false, connections: 2 });
      await peer.write([more]);
      await peer.until(() => peer.over);
      expect(peer.closes).toEqual([1008]);
      await gone();
    }
  });

  test("1.5: a frame in more parts than its limit ends with 1008, one in fewer is taken", async () => {
    await stop();
    await start({ chunksMax: 100 });
    for (const [partBytes, outcome] of [
      [5, { answered: true, closes: [] }],
      [1, { answered: false, closes: [1008] }],
    ] as const) {
      const peer = await RawPeer.subscribed(gateway.url);
      await peer.write(chopped(frame(OP.text, command("e", 400)), partBytes));
      await peer.until(() => peer.answered("e"));
      expect({ answered: peer.answered("e"), closes: peer.closes }).toEqual(outcome);
      peer.destroy();
    }
    await gone();
  });

  test("pings whose answers are not taken cost their limit, then the socket", async () => {
    await stop();
    await start({ commandsBurst: 1_000_000 }); // so that the other bound is met
    const peer = await RawPeer.subscribed(gateway.url);
    peer.socket.pause();
    const ping = Buffer.concat(Array.from({ length: 500 }, () => frame(OP.ping, "x".repeat(125))));
    let sentBytes = 0;
    for (
      ;
      !peer.socket.destroyed && gateway.engine.connections === 2 && sentBytes < 200_000_000;
      sentBytes += ping.length
    )
      await peer.write([ping]);
    expect(sentBytes).toBeLessThan(200_000_000);
    peer.destroy();
    await gone();
  }, 30_000);
});

describe("peers that never finish", () => {
  beforeEach(async () => {
    await stop();
    await start(QUICK);
  });

  test("5.5: a frame that dribbles is no sign of life: 4012", async () => {
    const peer = await RawPeer.subscribed(gateway.url);
    const started = performance.now();
    await peer.write([frame(OP.text, "x".repeat(60_000)).subarray(0, 8)]);
    const kept = setInterval(() => peer.socket.write("x"), 5);
    await peer.until(() => peer.over);
    clearInterval(kept);
    expect(peer.closes).toEqual([4012]);
    expect(performance.now() - started).toBeLessThan(5_000);
    await gone();
  });

  test("1.5: a broken frame's peer that neither answers nor ends the connection is gone after closeMs", async () => {
    const peer = await RawPeer.subscribed(gateway.url);
    peer.answersClose = false;
    peer.socket.allowHalfOpen = true; // its own end stays open
    await peer.write([frame(OP.text, "{}", { masked: false })]);
    await peer.until(() => peer.over);
    const at = performance.now();
    expect(peer.closes).toEqual([1002]);
    await gone();
    expect(performance.now() - at).toBeLessThan(2_000); // closeMs is 200; of `ws` it would be 30 s
    peer.destroy();
  });

  test("a peer that reads nothing of its last words is gone after closeMs, too", async () => {
    const peer = await RawPeer.subscribed(gateway.url);
    peer.socket.pause();
    await peer.write([frame(OP.binary, "x")]);
    await gone();
    peer.destroy();
  });
});

describe("what is left behind", () => {
  const ENDS: readonly (readonly [string, (peer: RawPeer) => Promise<void>])[] = [
    ["closes in order", (peer) => peer.write([closeFrame(1000)])],
    ["sends what is no frame", (peer) => peer.write([Buffer.alloc(300, 0x77)])],
    ["sends an unmasked frame", (peer) => peer.write([frame(OP.text, "{}", { masked: false })])],
    ["sends what is no UTF-8", (peer) => peer.write([frame(OP.text, Buffer.of(0xff))])],
    ["announces 8 EiB", (peer) => peer.write([frame(OP.text, "", { announcedBytes: 2n ** 63n, lengthIn: 64 })])],
    [
      "leaves within a frame",
      async (peer) => (await peer.write([frame(OP.text, "x".repeat(60_000)).subarray(0, 30_000)]), peer.destroy()),
    ],
    [
      "leaves within fragments",
      async (peer) => (await peer.write([frame(OP.text, "x", { fin: false })]), peer.destroy()),
    ],
    ["resets the connection", async (peer) => void peer.socket.resetAndDestroy()],
  ];

  test.each(ENDS)(
    "a peer that %s leaves no socket, no subscription and no object behind (100 times)",
    async (_name, leave) => {
      const sockets: WeakRef<object>[] = [];
      gateway.server.on("connection", (socket: object) => sockets.push(new WeakRef(socket)));
      for (let round = 0; round < 100; round++) {
        const peer = await RawPeer.subscribed(gateway.url);
        await leave(peer);
        await peer.until(() => peer.over);
        peer.destroy();
      }
      await gone();
      await eventually(async () => (await openSockets()) === 1);
      await eventually(() => {
        collectGarbage();
        return sockets.filter((socket) => socket.deref() !== undefined).length <= 2; // the last ones may still be on a stack
      });
      expect(sockets).toHaveLength(100);
    },
    30_000,
  );

  const openSockets = () =>
    new Promise<number>((resolve, reject) =>
      gateway.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    );
});

test("a peer that stops within its upgrade's first frame is closed with 4015", async () => {
  await stop();
  await start({ ...QUICK, authMs: 100 });
  const peer = await RawPeer.open(gateway.url);
  const auth = frame(OP.text, '{"id":1,"op":"auth","token":"raw"}');
  peer.socket.write(auth.subarray(0, auth.length - 1));
  await Promise.race([once(peer.socket, "close"), peer.until(() => peer.over)]);
  expect(peer.closes).toEqual([4015]);
  await gone();
});

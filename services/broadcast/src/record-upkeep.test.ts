// The record over time, on a real nats-server: old events go by sequence, a nearly full stream refuses before anything breaks.

import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Backbone, createAppender, ensureStreams, readAll, streamHead } from "@outcry/backbone";
import { silentLog, STREAMS } from "@outcry/protocol";
import { startServers, type TestServers } from "./http/service.fixture.js";
import { watchRoom } from "./record-room.js";
import { trimEvents } from "./trim-events.js";

const EVENTS_BYTES_MAX = 1024 * 1024;

let servers: TestServers;
let backbone: Backbone;

beforeAll(async () => {
  servers = await startServers();
  backbone = await servers.connect("service");
  await ensureStreams(backbone, { replicas: 1, region: "local", maxBytes: { [STREAMS.events]: EVENTS_BYTES_MAX } });
});

afterAll(() => servers.stop());

const append = async (count: number, bytes = 10): Promise<void> => {
  const appender = createAppender(backbone, { stream: STREAMS.events });
  const data = new Uint8Array(bytes).fill(32);
  await Promise.all(
    Array.from({ length: count }, (_, nth) => appender.append({ subject: `rt.test.a.b.${nth}`, data })),
  );
};

test("events older than the moment go, the others keep their sequences", async () => {
  await append(5);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const moment = Date.now();
  await new Promise((resolve) => setTimeout(resolve, 20));
  await append(3);

  expect(await trimEvents({ backbone }, moment)).toBe(5);
  const kept: number[] = [];
  for await (const { seq } of readAll(backbone, STREAMS.events)) kept.push(seq);
  expect(kept).toEqual([6, 7, 8]);
  expect(await trimEvents({ backbone }, moment)).toBe(0);
});

test("above the mark an intent is refused with record_full, below it none is", async () => {
  const before = watchRoom(backbone, [STREAMS.events], silentLog);
  expect(() => before.requireRoom()).not.toThrow();
  before.stop();

  await append(900, 1_000);
  const head = await streamHead(backbone, STREAMS.events);
  expect(head.bytes).toBeGreaterThan(0.9 * EVENTS_BYTES_MAX);
  const room = watchRoom(backbone, [STREAMS.events], silentLog);
  const until = Date.now() + 3_000;
  while (room.check().ok && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(() => room.requireRoom()).toThrow("record_full");
  expect(room.check()).toEqual({ ok: false, detail: expect.stringMatching(/^EVENTS is 9\d % full$/) });
  room.stop();
});

// How what waits for many sockets is written: in order, and for a bounded time in each turn of the event loop.

import { expect, test } from "@jest/globals";
import { Writable } from "node:stream";
import { GATEWAY_LIMITS, type GatewayLimits } from "../limits.js";
import { eventually } from "../nats-server.fixture.js";
import { Flusher, Outbox } from "./outbox.js";

const SLICE_MS = 10;
const WRITE_MS = 1; // each takes the processor for at least so long
const PER_LOOK = 8; // writes between two looks at the clock
const PEERS = 100;

interface Write {
  peer: number;
  turn: number;
  text: string;
}

/** Peers on slow sinks, the turn of each write, and the way to stop counting turns. */
function peersOf(writes: Write[], more: Partial<GatewayLimits> = {}) {
  const limits: GatewayLimits = { ...GATEWAY_LIMITS, flushSliceMs: SLICE_MS, ...more };
  let turn = 0;
  const flusher = new Flusher(limits);
  const sink = (peer: number): Writable =>
    new Writable({
      write(bytes: Buffer, _encoding, done) {
        for (const until = performance.now() + WRITE_MS; performance.now() < until;);
        writes.push({ peer, turn, text: bytes.toString() });
        done();
      },
    });
  const outboxes = Array.from({ length: PEERS }, (_, peer) => new Outbox(sink(peer), flusher, limits));
  let counting = setImmediate(function next() {
    turn++;
    counting = setImmediate(next);
  });
  return { outboxes, stop: () => clearImmediate(counting) };
}

const inOrder = Array.from({ length: PEERS }, (_, peer) => peer);

test("a large channel is written in slices: others have their turn between them", async () => {
  const writes: Write[] = [];
  const { outboxes, stop } = peersOf(writes);
  const event = Buffer.from("1");
  for (const outbox of outboxes) expect(outbox.offer(event)).toBe(true);
  await eventually(() => writes.length === PEERS);
  stop();
  const perTurn = new Map<number, number>();
  for (const { turn } of writes) perTurn.set(turn, (perTurn.get(turn) ?? 0) + 1);
  // A busy machine makes each write longer, and the turns more.
  expect(Math.max(...perTurn.values())).toBeLessThanOrEqual(SLICE_MS / WRITE_MS + PER_LOOK);
  expect(writes.map(({ peer }) => peer)).toEqual(inOrder);
});

test("what comes between two slices is written behind what was there, once to each", async () => {
  const writes: Write[] = [];
  const { outboxes, stop } = peersOf(writes);
  const [first, second] = [Buffer.from("1"), Buffer.from("2")];
  for (const outbox of outboxes) outbox.offer(first);
  await eventually(() => writes.length > 0);
  expect(writes.length).toBeLessThan(PEERS); // else there was no slice to come between
  for (const outbox of outboxes) outbox.offer(second);
  const heard = (wanted: number) => writes.flatMap(({ peer, text }) => (peer === wanted ? [text] : [])).join("");
  await eventually(() => inOrder.every((peer) => heard(peer).length === 2));
  stop();
  expect(inOrder.map(heard)).toEqual(inOrder.map(() => "12"));
  expect(writes.some(({ text }) => text === "12")).toBe(true); // those that were not written yet got both in one
});

test("no write is longer than its bound, and nothing is lost between two", async () => {
  const writes: Write[] = [];
  const { outboxes, stop } = peersOf(writes, { writeBytesMax: 10, queueFramesMax: 8 });
  const frames = ["aaaa", "bbbb", "cccc", "dddddddddddd", "ee", "ff", "gg", "hh"].map((text) => Buffer.from(text));
  const [outbox] = outboxes as [Outbox];
  for (const frame of frames) expect(outbox.offer(frame)).toBe(true);
  expect(outbox.offer(Buffer.from("ii"))).toBe(false); // full
  await eventually(() => outbox.bytes === 0);
  stop();
  expect(writes.map(({ text }) => text)).toEqual(["aaaabbbb", "cccc", "dddddddddddd", "eeffgghh"]);
});

test("the last words are one write, however much is queued, and nothing is taken behind them", async () => {
  const writes: Write[] = [];
  const { outboxes, stop } = peersOf(writes, { writeBytesMax: 4 });
  stop();
  const [outbox] = outboxes as [Outbox];
  for (const text of ["aaaa", "bbbb", "cccc"]) outbox.offer(Buffer.from(text));
  outbox.end();
  expect(writes.map(({ text }) => text)).toEqual(["aaaabbbbcccc"]);
  expect(outbox.offer(Buffer.from("d"))).toBe(false);
});

test("large frames go out as they are, small ones between them joined, all in one write of the system", async () => {
  const wrote: number[][] = [];
  const sink = new Writable({
    writev(chunks, done) {
      wrote.push(chunks.map(({ chunk }) => (chunk as Buffer).length));
      done();
    },
  });
  const outbox = new Outbox(sink, new Flusher(GATEWAY_LIMITS), GATEWAY_LIMITS);
  const large = Buffer.alloc(64 * 1024);
  for (const frame of [Buffer.alloc(10), Buffer.alloc(20), large, Buffer.alloc(5), Buffer.alloc(6), large])
    expect(outbox.offer(frame)).toBe(true);
  await eventually(() => wrote.length > 0);
  expect(wrote).toEqual([[30, large.length, 11, large.length]]);
  for (let count = 0; count < 2; count++) outbox.offer(large); // behind a write that asked to wait
  await eventually(() => wrote.length === 2);
  expect(wrote[1]).toEqual([large.length, large.length]);
});

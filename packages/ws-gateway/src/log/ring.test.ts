import { describe, expect, test } from "@jest/globals";
import type { SourceMessage } from "./event-source.js";
import { Ring } from "./ring.js";

const event = (seq: number, bytes = 10) => ({
  seq,
  time: seq,
  subject: `s.${seq}`,
  data: new Uint8Array(bytes),
});
const behind = (ring: Ring, seq: number) => Array.from({ length: ring.last - seq }, (_, at) => ring.at(seq + 1 + at)!);
const sequences = (ring: Ring, after: number) => behind(ring, after).map(({ seq }) => seq);

describe("the ring", () => {
  test("gives what came behind a sequence, nothing behind the last", () => {
    const ring = new Ring({ bytesMax: 1e6, eventsMax: 100 });
    ring.clear(40);
    for (let seq = 41; seq <= 45; seq++) ring.push(event(seq));
    expect(sequences(ring, 40)).toEqual([41, 42, 43, 44, 45]);
    expect(sequences(ring, 43)).toEqual([44, 45]);
    expect(sequences(ring, 45)).toEqual([]);
    expect([40, 46].map((seq) => ring.at(seq))).toEqual([undefined, undefined]);
    expect(ring.subjectAt(41)).toBe("s.41");
  });

  test("stays within its count and moves its floor", () => {
    const ring = new Ring({ bytesMax: 1e9, eventsMax: 100 });
    for (let seq = 1; seq <= 10_000; seq++) ring.push(event(seq));
    expect(ring.size).toBe(100);
    expect(ring.floor).toBe(9_900);
    expect(sequences(ring, 9_998)).toEqual([9_999, 10_000]);
  });

  test("gives each event as it came, from any of its slabs", () => {
    const ring = new Ring({ bytesMax: 3e6, eventsMax: 5_000 });
    const events = Array.from({ length: 4_000 }, (_, index) => ({
      seq: index + 1,
      time: 1_700_000_000_000 + index,
      subject: `rt.größe.${index}`,
      data: Buffer.from(`${index} `.repeat(index % 400)),
    }));
    for (const each of events) {
      const data = Buffer.from(each.data);
      ring.push({ ...each, data });
      data.fill(0); // the chunk that it came in is used again
    }
    const { floor } = ring;
    expect(floor).toBeGreaterThan(0);
    const shown = (some: Iterable<SourceMessage>) =>
      [...some].map(({ data, ...place }) => ({ ...place, data: Buffer.from(data).toString() }));
    expect(shown(behind(ring, floor))).toEqual(shown(events.slice(floor)));
    expect(ring.at(floor)).toBeUndefined();
    expect(ring.at(4_001)).toBeUndefined();
  });

  test("what it gave stays as it was when its memory is used again", () => {
    const ring = new Ring({ bytesMax: 1e6, eventsMax: 1_100 });
    ring.push(event(1));
    const first = ring.at(1)!;
    for (let seq = 2; seq <= 5_000; seq++) ring.push({ ...event(seq), data: new Uint8Array(10).fill(seq % 256) });
    expect(first).toEqual({ ...event(1), data: Buffer.alloc(10) });
    expect(ring.at(5_000)!.data).toEqual(Buffer.alloc(10, 5_000 % 256));
  });

  test("holds an event that is larger than a slab", () => {
    const ring = new Ring({ bytesMax: 8e6, eventsMax: 10 });
    for (let seq = 1; seq <= 5; seq++) ring.push(event(seq, seq % 2 === 0 ? 1_000_000 : 10));
    expect(behind(ring, 0).map(({ data }) => data.length)).toEqual([10, 1_000_000, 10, 1_000_000, 10]);
  });

  test("stays within its bytes, even for one event that is larger", () => {
    const ring = new Ring({ bytesMax: 10_000, eventsMax: 1_000 });
    for (let seq = 1; seq <= 50; seq++) ring.push(event(seq, 1_000));
    expect(ring.bytes).toBeLessThanOrEqual(10_000);
    expect(sequences(ring, ring.floor).at(-1)).toBe(50);
    ring.push(event(51, 20_000));
    expect(ring).toMatchObject({ size: 0, bytes: 0, floor: 51 });
  });
});

import { describe, expect, test } from "@jest/globals";
import { Ring } from "./ring.js";

const event = (seq: number, bytes = 10) => ({
  seq,
  time: seq,
  subject: `s.${seq}`,
  data: new Uint8Array(bytes),
});
const sequences = (ring: Ring, after: number) => [...ring.after(after)].map(({ seq }) => seq);

describe("the ring", () => {
  test("gives what came behind a sequence, nothing behind the last", () => {
    const ring = new Ring({ bytesMax: 1e6, eventsMax: 100 });
    ring.clear(40);
    for (let seq = 41; seq <= 45; seq++) ring.push(event(seq));
    expect(sequences(ring, 40)).toEqual([41, 42, 43, 44, 45]);
    expect(sequences(ring, 43)).toEqual([44, 45]);
    expect(sequences(ring, 45)).toEqual([]);
    expect(() => sequences(ring, 39)).toThrow(RangeError);
  });

  test("stays within its count and moves its floor", () => {
    const ring = new Ring({ bytesMax: 1e9, eventsMax: 100 });
    for (let seq = 1; seq <= 10_000; seq++) ring.push(event(seq));
    expect(ring.size).toBe(100);
    expect(ring.floor).toBe(9_900);
    expect(sequences(ring, 9_998)).toEqual([9_999, 10_000]);
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

import { describe, expect, test } from "@jest/globals";
import { type LimitPolicy, Meter } from "./meter.js";

const policy: LimitPolicy = { name: "deliveries", quota: 100, windowMs: 60_000 };
const START = 60_000 * 1_000;

describe("a meter", () => {
  test("lets exactly its quota through and says how long the next one waits", () => {
    const meter = new Meter(policy);
    meter.add(START, 60);
    expect(meter.hasRoom(START, 40)).toBe(true);
    meter.add(START + 10_000, 40);
    expect(meter.left(START + 10_000)).toBe(0);
    expect(meter.hasRoom(START + 10_000, 1)).toBe(false);
    // The next slice holds nothing yet, of the one before 99 % may be inside: 60 s × 1 % into it.
    expect(Math.abs(meter.waitMs(START + 10_000, 1) - (50_000 + 600))).toBeLessThanOrEqual(1);
  });

  test("has room after the wait it named, and none a moment before", () => {
    for (const [first, second, cost] of [
      [70, 30, 5],
      [10, 90, 50],
      [100, 0, 100],
      [33, 33, 40],
    ] as const) {
      const meter = new Meter(policy);
      meter.add(START + 5_000, first);
      meter.add(START + 65_000, second);
      const now = START + 70_000;
      const waitMs = meter.waitMs(now, cost);
      if (waitMs > 1) expect(meter.hasRoom(now + waitMs - 2, cost)).toBe(false);
      expect(meter.hasRoom(now + waitMs + 1, cost)).toBe(true);
    }
  });

  test("admits no more than the quota within any whole window, by an even caller", () => {
    const meter = new Meter(policy);
    const admitted: number[] = [];
    for (let now = START; now < START + 600_000; now += 100) {
      if (!meter.hasRoom(now, 1)) continue;
      meter.add(now, 1);
      admitted.push(now);
    }
    for (const from of admitted) {
      const within = admitted.filter((at) => at >= from && at < from + 60_000).length;
      expect(within).toBeLessThanOrEqual(101); // the estimate between two slices is even use
    }
    expect(admitted.length).toBeGreaterThan(900);
  });

  test("lets through what costs more than its quota when nothing else is inside the window", () => {
    const meter = new Meter(policy);
    expect(meter.hasRoom(START, 250)).toBe(true);
    meter.add(START, 250);
    expect(meter.hasRoom(START + 60_000, 1)).toBe(false);
    expect(meter.hasRoom(START + 120_000, 250)).toBe(true);
  });

  test("counts what others used, and its own when the sum says less", () => {
    const meter = new Meter(policy);
    meter.add(START, 10);
    const [sent] = meter.takeUnsent(START);
    meter.learned(sent!.slice, 80);
    expect(meter.left(START)).toBe(20);
    meter.learned(sent!.slice, 0); // Redis was emptied
    expect(meter.left(START)).toBe(90);
    expect(meter.takeUnsent(START)).toEqual([]);
  });

  test("gives back, and never counts below nothing", () => {
    const meter = new Meter(policy);
    meter.add(START, 30);
    meter.add(START + 1, -30);
    meter.add(START + 60_000, -5);
    expect(meter.used(START + 60_000)).toBe(0);
  });

  test("slides by its slices", () => {
    const month: LimitPolicy = { name: "stored", quota: 1_000, windowMs: 30 * 86_400_000, slices: 30 };
    const meter = new Meter(month);
    const day = 86_400_000;
    const start = 20_000 * day;
    for (let at = 0; at < 30; at++) meter.add(start + at * day, 30);
    expect(meter.used(start + 29 * day)).toBe(900);
    expect(meter.resetMs(start + 29 * day)).toBe(31 * day);
    expect(meter.used(start + 30.5 * day)).toBe(29 * 30 + 15);
    expect(meter.used(start + 90 * day)).toBe(0);
  });

  test("stays in its newest slice when the clock goes back", () => {
    const meter = new Meter(policy);
    meter.add(START + 61_000, 40);
    meter.add(START + 59_000, 40);
    expect(meter.used(START + 61_000)).toBe(80);
  });
});

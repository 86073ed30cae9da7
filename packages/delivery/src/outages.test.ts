import { describe, expect, test } from "@jest/globals";
import { LIMITS } from "@outcry/protocol";
import { Outages, settledAfter } from "./outages.js";

class Connection {
  lastDownAt: number | undefined;
  lastUpAt: number | undefined;
  readonly #listeners = new Set<(up: boolean) => void>();

  onChange(listener: (up: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  down(atMs: number): void {
    this.lastDownAt = atMs;
    for (const listener of this.#listeners) listener(false);
  }

  up(atMs: number): void {
    this.lastUpAt = atMs;
    for (const listener of this.#listeners) listener(true);
  }
}

describe("after an outage", () => {
  test("answers have as long as it was, within bounds", () => {
    expect(settledAfter(1_000, 1_200)).toBe(1_200 + LIMITS.outageGraceMs);
    expect(settledAfter(1_000, 13_000)).toBe(25_000);
    expect(settledAfter(0, 3_600_000)).toBe(3_600_000 + LIMITS.outageGraceMaxMs);
  });

  test("a short one right behind a long one does not shorten that", () => {
    const [nats, redis] = [new Connection(), new Connection()];
    const outages = new Outages(nats, redis);
    nats.up(500);
    expect(outages.settledAtMs).toBe(0); // the first connection
    nats.down(10_000);
    nats.up(30_000);
    redis.down(31_000);
    redis.up(31_100);
    expect(outages.settledAtMs).toBe(50_000);
  });
});

// Drops what a node sends beyond any reason, at the cost of one look-up. Counts by itself in fixed minutes: acks are spread over the
// processes at random, and a bound against floods need not be exact.

import type { Clock } from "@outcry/protocol";

const MINUTE_MS = 60_000;

export class FloodGate {
  readonly #perMinute: number;
  readonly #clock: Clock;
  /** Of this minute alone: no larger than the registry. */
  readonly #counts = new Map<string, { count: number }>();
  #untilMs = 0;

  /** 0 lets everything in. */
  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute;
    this.#clock = clock;
  }

  letsIn(node: string): boolean {
    if (this.#perMinute === 0) return true;
    const nowMs = this.#clock.now();
    if (nowMs >= this.#untilMs) this.#begin(nowMs);
    const seen = this.#counts.get(node);
    if (seen === undefined) this.#counts.set(node, { count: 1 });
    else seen.count++;
    return seen === undefined || seen.count <= this.#perMinute;
  }

  #begin(nowMs: number): void {
    this.#counts.clear();
    this.#untilMs = nowMs + MINUTE_MS;
  }
}

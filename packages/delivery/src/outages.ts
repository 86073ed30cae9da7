// Outages of NATS or Redis, and until when they may still delay the answers of healthy nodes: clients back off while a server
// is away, so the longer it was, the later they are back; and what was held up meanwhile reaches them all at once.

import { LIMITS } from "@outcry/protocol";

/** When what an outage held up must have been answered; epoch ms. */
export const settledAfter = (fromMs: number, toMs: number): number =>
  toMs + Math.min(Math.max(toMs - fromMs, LIMITS.outageGraceMs), LIMITS.outageGraceMaxMs);

interface Watched {
  readonly lastDownAt: number | undefined;
  readonly lastUpAt: number | undefined;
  onChange(listener: (up: boolean) => void): () => void;
}

/** Follows connections for as long as they live. */
export class Outages {
  #settledAtMs = 0;

  constructor(...connections: readonly Watched[]) {
    for (const connection of connections) {
      connection.onChange((up) => {
        // Connecting for the first time ends no outage: nobody was sent anything before it.
        if (!up || !connection.lastDownAt) return;
        this.#settledAtMs = Math.max(this.#settledAtMs, settledAfter(connection.lastDownAt, connection.lastUpAt!));
      });
    }
  }

  /** Of the outages so far; 0 = there was none. */
  get settledAtMs(): number {
    return this.#settledAtMs;
  }
}

// Whether the connection to NATS works, as one value that others can wait for.

import { OutcryError } from "@outcry/protocol";
import type { Clock } from "@outcry/protocol";

export interface Health {
  readonly up: boolean;
  /** Epoch ms; 0 = never. */
  readonly lastUpAt: number;
  readonly lastDownAt: number;
  /** Resolves while up; rejects when the signal aborts or the connection is closed for good. */
  whenUp(signal?: AbortSignal): Promise<void>;
  /** Calls `listener` on each change, not at once; returns the way to stop that. */
  onChange(listener: (up: boolean) => void): () => void;
}

export class HealthState implements Health {
  up = false;
  lastUpAt = 0;
  lastDownAt = 0;
  readonly #clock: Clock;
  readonly #listeners = new Set<(up: boolean) => void>();
  readonly #waiters = new Set<{ resolve: () => void; reject: (error: Error) => void }>();
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  set(up: boolean): void {
    if (this.up === up || (this.#closed && up)) return;
    this.up = up;
    if (up) this.lastUpAt = this.#clock.now();
    else this.lastDownAt = this.#clock.now();
    if (up) for (const waiter of this.#waiters) waiter.resolve();
    for (const listener of this.#listeners) listener(up);
  }

  close(): void {
    this.#closed = true;
    this.set(false);
    for (const waiter of this.#waiters) waiter.reject(closedError());
  }

  whenUp(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(abortError(signal));
    if (this.#closed) return Promise.reject(closedError());
    if (this.up) return Promise.resolve();
    return new Promise<void>((resolve, reject) => {
      const onAbort = () => waiter.reject(abortError(signal!));
      const settle = () => {
        this.#waiters.delete(waiter);
        signal?.removeEventListener("abort", onAbort);
      };
      const waiter = {
        resolve: () => (settle(), resolve()),
        reject: (error: Error) => (settle(), reject(error)),
      };
      this.#waiters.add(waiter);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  onChange(listener: (up: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

const closedError = () => new OutcryError("shutting_down", "nats: the connection was closed");
const abortError = (signal: AbortSignal) =>
  new OutcryError("shutting_down", "stopped while waiting for nats", { cause: signal.reason });

// Whether a connection answers, as something to wait for. Workers pull only while it is up, so that an outage spends no attempts.

import type { Clock } from "@outcry/protocol";

export interface RedisHealth {
  readonly up: boolean;
  /** Epoch ms; undefined when it has not happened yet. */
  readonly lastDownAt: number | undefined;
  readonly lastUpAt: number | undefined;
  /** Resolves once up; rejects with the signal's reason when aborted. */
  whenUp(signal?: AbortSignal): Promise<void>;
  /** Calls back on every change until the returned function is called. */
  onChange(listener: (up: boolean) => void): () => void;
}

export interface HealthSwitch extends RedisHealth {
  set(up: boolean): void;
}

export function createHealth(clock: Clock): HealthSwitch {
  const listeners = new Set<(up: boolean) => void>();
  let up = false;
  let lastDownAt: number | undefined;
  let lastUpAt: number | undefined;

  const onChange = (listener: (up: boolean) => void): (() => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };

  return {
    get up() {
      return up;
    },
    get lastDownAt() {
      return lastDownAt;
    },
    get lastUpAt() {
      return lastUpAt;
    },
    set(next) {
      if (next === up) return;
      up = next;
      if (up) lastUpAt = clock.now();
      else lastDownAt = clock.now();
      for (const listener of listeners) listener(up);
    },
    async whenUp(signal) {
      signal?.throwIfAborted();
      if (up) return;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          forget();
          signal?.removeEventListener("abort", done);
          resolve();
        };
        const forget = onChange((nowUp) => {
          if (nowUp) done();
        });
        signal?.addEventListener("abort", done, { once: true });
      });
      signal?.throwIfAborted();
    },
    onChange,
  };
}

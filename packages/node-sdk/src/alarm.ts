// Waiting that ends early: by wake(), or by a signal. Resolves in every case; the caller looks at what changed.

export class Alarm {
  readonly #sleepers = new Set<() => void>();

  /** Ends every wait that is under way. */
  wake(): void {
    for (const end of this.#sleepers) end();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", end);
        this.#sleepers.delete(end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      signal?.addEventListener("abort", end);
      this.#sleepers.add(end);
    });
  }
}

/** True when `work` settled within the time. Its failure is the caller's to look at. */
export async function settledWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  const alarm = new Alarm();
  let settled = false;
  const done = () => {
    settled = true;
    alarm.wake();
  };
  const waiting = alarm.sleep(ms);
  work.then(done, done);
  await waiting;
  return settled;
}

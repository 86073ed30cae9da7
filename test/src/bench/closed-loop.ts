// Keeps a fixed number of items under way and takes the time of each: the load of every row but `reach`.

export interface Run {
  /** Items that were finished within `seconds`. */
  count: number;
  seconds: number;
  /** One per item, ms. */
  latenciesMs: number[];
}

export interface LoopOptions {
  count: number;
  inFlight: number;
  /** Finished items of this first time are not counted: what an item leaves behind for later must be part of a steady state. */
  rampMs?: number;
}

const STUCK_MS = 60_000; // an item that takes longer has been lost

/** `work(index)` resolves when the item is done. */
export async function closedLoop(options: LoopOptions, work: (index: number) => Promise<void>): Promise<Run> {
  const { count, inFlight, rampMs = 0 } = options;
  const begunMs = performance.now();
  const done: { atMs: number; tookMs: number }[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      const fromMs = performance.now();
      await work(index);
      const atMs = performance.now();
      done.push({ atMs, tookMs: atMs - fromMs });
    }
  };
  await orStuck(
    Promise.all(Array.from({ length: Math.min(inFlight, count) }, lane)),
    () => `${done.length} of ${count}`,
  );

  const lastMs = done.at(-1)!.atMs;
  const countFromMs = begunMs + rampMs < lastMs - rampMs / 4 ? begunMs + rampMs : begunMs;
  const counted = done.filter(({ atMs }) => atMs >= countFromMs);
  return {
    count: counted.length,
    seconds: (lastMs - countFromMs) / 1_000,
    latenciesMs: counted.map(({ tookMs }) => tookMs),
  };
}

export async function orStuck<T>(work: Promise<T>, where: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const stuck = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`stuck: ${where()} done within ${STUCK_MS / 1_000} s`)), STUCK_MS);
  });
  return Promise.race([work, stuck]).finally(() => clearTimeout(timer));
}

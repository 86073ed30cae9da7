// Full jitter: spreads retries evenly over [0, base · 2^attempt], capped.

export interface Backoff {
  readonly baseMs: number;
  readonly capMs: number;
}

/** `attempt` counts from 0; `random` is in [0, 1). */
export function fullJitterMs(attempt: number, { baseMs, capMs }: Backoff, random: () => number): number {
  return Math.round(random() * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30)));
}

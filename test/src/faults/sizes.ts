// How much each fault test does. `npm test` takes the small sizes; a soak sets OUTCRY_SOAK=<factor> and takes more of everything.

const factor = Math.max(1, Number(process.env["OUTCRY_SOAK"] ?? 1));

const FULL_FACTOR = 10;

export const SEED = Number(process.env["OUTCRY_SEED"] ?? 20_261_120);

export const SIZES = {
  intents: 120 * factor, // of one load
  perSecond: 30,
  targetsMin: 3,
  targetsMax: 6,
  windowMinMs: 2_500,
  windowMaxMs: 8_000,
  /** How long a system is away in the outage tests. */
  outageMs: factor > 1 ? 60_000 : 12_000,
  /** After the last post, for every intent to end and every quote to be judged. */
  settleMs: 60_000,
} as const;

/** Of a named soak (docs/soak.md): its sample under `npm test`, all of it at the soak's default factor of 10. */
export const sized = (sample: number, full: number): number =>
  factor === 1 ? sample : Math.max(sample, Math.round((full * factor) / FULL_FACTOR));

/** Of one test: the load, what settles behind it, and the reading of the record. */
export const TEST_TIMEOUT_MS = 30_000 + (1_000 * SIZES.intents) / SIZES.perSecond + SIZES.settleMs + SIZES.outageMs;

/** The same sequence in [0, 1) for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

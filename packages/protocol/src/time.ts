// Time comes in as a Clock. On the wire it is RFC 3339 in UTC with milliseconds, and nothing else.

/** `now()` is milliseconds since the Unix epoch. */
export interface Clock {
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

export const RFC3339_UTC_MS = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;

/** The last instant that the form can tell: years have four digits. */
export const RFC3339_MS_MAX = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** Throws RangeError for an instant outside the years 0000 to 9999. */
export function toRfc3339(ms: number): string {
  const text = new Date(ms).toISOString();
  if (text.length !== 24) throw new RangeError(`toRfc3339: ${ms} is outside the years 0000 to 9999`);
  return text;
}

/** Milliseconds of a timestamp in the one accepted form; undefined for any other text, impossible dates included. */
export function parseRfc3339(text: string): number | undefined {
  if (!RFC3339_UTC_MS.test(text)) return undefined;
  const ms = Date.parse(text);
  // Date.parse rolls 31 February over into March; only the round trip proves that the date exists.
  return Number.isNaN(ms) || toRfc3339(ms) !== text ? undefined : ms;
}

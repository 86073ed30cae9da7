// Time comes in as a Clock. On the wire it is RFC 3339 in UTC with milliseconds, and nothing else.

/** `now()` is milliseconds since the Unix epoch. */
export interface Clock {
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

export const RFC3339_UTC_MS =
  /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;

/** The last instant that the form can tell: years have four digits. */
export const RFC3339_MS_MAX = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

let [lastMs, lastText] = [Number.NaN, ""]; // a thousand acks of one fan-out come in a few milliseconds

/** Throws RangeError for an instant outside the years 0000 to 9999. */
export function toRfc3339(ms: number): string {
  if (ms === lastMs) return lastText;
  const text = new Date(ms).toISOString();
  if (text.length !== 24) throw new RangeError(`toRfc3339: ${ms} is outside the years 0000 to 9999`);
  [lastMs, lastText] = [ms, text];
  return text;
}

/** Milliseconds of a timestamp in the one accepted form; undefined for any other text, impossible dates included. */
export function parseRfc3339(text: string): number | undefined {
  return RFC3339_UTC_MS.test(text) && dayExists(text) ? Date.parse(text) : undefined;
}

/** Date.parse would roll 31 February over into March. */
function dayExists(text: string): boolean {
  const day = Number(text.slice(8, 10));
  if (day <= 28) return true;
  const lastOfMonth = new Date(`${text.slice(0, 8)}01T00:00:00.000Z`);
  lastOfMonth.setUTCMonth(lastOfMonth.getUTCMonth() + 1, 0);
  return day <= lastOfMonth.getUTCDate();
}

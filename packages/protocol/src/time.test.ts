import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { Timestamp } from "./envelope.js";
import { parseRfc3339, RFC3339_MS_MAX, systemClock, toRfc3339 } from "./time.js";
import { check } from "./validate.js";

const accepted = (text: string): boolean[] => [parseRfc3339(text) !== undefined, check(Timestamp, text).kind === "ok"];

describe("timestamps", () => {
  test("go out and come back as the same millisecond", () => {
    fc.assert(
      fc.property(fc.integer({ min: Date.UTC(2000, 0), max: RFC3339_MS_MAX }), (ms) => {
        expect(parseRfc3339(toRfc3339(ms))).toBe(ms);
        expect(accepted(toRfc3339(ms))).toEqual([true, true]);
      }),
    );
  });

  test("have one known form", () => {
    expect(toRfc3339(1_795_000_000_123)).toBe("2026-11-18T11:06:40.123Z");
    expect(parseRfc3339("1970-01-01T00:00:00.000Z")).toBe(0);
    expect(parseRfc3339("2024-02-29T23:59:59.999Z")).toBe(Date.UTC(2024, 1, 29, 23, 59, 59, 999));
    expect(parseRfc3339("2000-02-29T00:00:00.000Z")).toBe(Date.UTC(2000, 1, 29));
  });

  test.each([
    ["29 February of no leap year", "2026-02-29T00:00:00.000Z"],
    ["29 February of a full century", "2100-02-29T00:00:00.000Z"],
    ["30 February", "2024-02-30T00:00:00.000Z"],
    ["31 February", "2026-02-31T00:00:00.000Z"],
    ["31 April", "2026-04-31T00:00:00.000Z"],
    ["month 13", "2026-13-01T00:00:00.000Z"],
    ["day 0", "2026-01-00T00:00:00.000Z"],
    ["hour 24", "2026-01-01T24:00:00.000Z"],
    ["a leap second", "2016-12-31T23:59:60.000Z"],
    ["an offset", "2026-01-01T00:00:00.000+00:00"],
    ["no zone", "2026-01-01T00:00:00.000"],
    ["lower-case letters", "2026-01-01t00:00:00.000z"],
    ["no milliseconds", "2026-01-01T00:00:00Z"],
    ["microseconds", "2026-01-01T00:00:00.000000Z"],
    ["a blank for the T", "2026-01-01 00:00:00.000Z"],
    ["a five-digit year", "+012026-01-01T00:00:00.000Z"],
    ["a line feed behind it", "2026-01-01T00:00:00.000Z\n"],
    ["digits of another script", "２０２６-01-01T00:00:00.000Z"],
    ["nothing", ""],
  ])("%s is refused, by the parser and by the schema alike", (_, text) => {
    expect(accepted(text)).toEqual([false, false]);
  });

  test("the schema says that a date does not exist", () => {
    expect(check(Timestamp, "2026-02-31T00:00:00.000Z")).toEqual({
      kind: "invalid",
      pointers: [{ pointer: "", detail: "must be a date that exists" }],
    });
  });

  test("instants that the form cannot tell are a fault of the caller", () => {
    expect(toRfc3339(RFC3339_MS_MAX)).toBe("9999-12-31T23:59:59.999Z");
    for (const ms of [RFC3339_MS_MAX + 1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => toRfc3339(ms)).toThrow(RangeError);
    }
  });
});

test("the system's clock counts milliseconds", () => {
  expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1_000);
});

import { describe, expect, test } from "@jest/globals";
import { TimestampReader } from "./timestamps.js";

const reader = new TimestampReader();

describe("timestamps of nats-server", () => {
  test.each([
    "2026-11-20T10:00:00Z",
    "2026-11-20T10:00:59.9Z",
    "2026-11-20T10:00:07.123456789Z",
    "2026-11-20T10:01:00.05Z",
    "2026-11-20T10:00:00.000000001Z",
    "2026-12-31T23:59:59.999999999Z",
  ])("%s is read as Date.parse reads it", (text) => {
    expect(reader.read(text)).toBe(Date.parse(text));
  });

  test("what is none is NaN", () => {
    for (const text of ["", "yesterday", "2026-13-20T10:00:00Z"]) expect(reader.read(text)).toBeNaN();
  });
});

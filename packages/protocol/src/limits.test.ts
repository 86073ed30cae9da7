import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { LIMITS } from "./limits.js";

test("every limit states its reason, and every value can be kept", () => {
  const lines = readFileSync(new URL("../src/limits.ts", import.meta.url), "utf8").split("\n");
  const rows = lines.filter((line) => /^ {2}\w+: /.test(line));
  expect(rows.map((line) => line.trim().split(":")[0])).toEqual(Object.keys(LIMITS));
  expect(rows.filter((line) => !/, \/\/ \S+ \S+/.test(line))).toEqual([]);
  expect(Object.entries(LIMITS).filter(([, value]) => !(value > 0 && value <= Number.MAX_SAFE_INTEGER))).toEqual([]);
});

test("limits agree with each other", () => {
  expect(LIMITS.attemptsMax).toBeLessThanOrEqual(LIMITS.attemptsCeiling);
  expect(LIMITS.quotesPerNodeDefault).toBeLessThanOrEqual(LIMITS.quotesPerNodeMax);
  expect(LIMITS.quoteWindowDefaultMs).toBeLessThanOrEqual(LIMITS.quoteWindowMaxMs);
  expect(LIMITS.quoteWindowMaxMs).toBeLessThan(LIMITS.intentsAgeMs);
  expect(LIMITS.quoteBytesMax).toBeLessThanOrEqual(LIMITS.nodePayloadBytesMax);
  // The record: the signed text as a JSON string (each quote mark escaped), and lists of ids of 33 bytes with quotes and comma.
  expect(2 * LIMITS.intentBytesMax + LIMITS.targetsMax * 33 + 3 * LIMITS.routingListMax * 33).toBeLessThan(
    LIMITS.recordBytesMax,
  );
});

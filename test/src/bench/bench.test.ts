// A sample of the bench, far too short for figures: every row runs to its end and says a ratio.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { verdictOf } from "./compare.js";
import type { Figures } from "./measure.js";
import { ROW_NAMES, readOptions } from "./options.js";
import { median, percentile } from "./statistics.js";

const main = path.join(import.meta.dirname, "main.js");
const SAMPLE_MS = 180_000; // beside all other tests of the suite

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "outcry-bench-"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(...args: string[]) {
  return spawnSync(process.execPath, [main, ...args], { encoding: "utf8" });
}

describe("npm run bench", () => {
  test(
    "measures each row on real servers and saves what it prints",
    () => {
      const json = path.join(folder, "sample.json");
      const { status, stdout, stderr } = run("--rounds", "1", "--seconds", "0.05", "--json", json);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      const { figures } = JSON.parse(readFileSync(json, "utf8")) as { figures: Figures[] };
      expect(new Set(figures.map(({ row }) => row))).toEqual(new Set(ROW_NAMES));
      for (const { label, ratio, ours, limit } of figures) {
        expect(stdout).toContain(label);
        expect(Math.min(ratio, ours.rate, limit.rate, ours.p99Ms)).toBeGreaterThan(0);
      }
      const picture = readFileSync(path.join(folder, "sample.svg"), "utf8");
      for (const { label } of figures) expect(picture).toContain(`>${label}</text>`);
      expect(picture.match(/<rect/g)).toHaveLength(1 + figures.length);

      const same = run("compare", json, json);
      expect(same.status).toBe(0);
      expect(same.stdout.match(/ \+0 % +same /g)).toHaveLength(figures.length);
    },
    SAMPLE_MS,
  );

  test("calls a row better or worse only when the rounds of two runs do not meet", () => {
    const row = (low: number, high: number, goal?: Figures["goal"]) => ({ ratioRange: [low, high], goal }) as Figures;
    expect(verdictOf(row(0.4, 0.5), row(0.45, 0.6))).toBe("same");
    expect(verdictOf(row(0.4, 0.5), row(0.51, 0.6))).toBe("better");
    expect(verdictOf(row(0.4, 0.5), row(0.3, 0.39))).toBe("worse");
    const p99 = { of: "p99", atMost: 3 } as const;
    expect(verdictOf(row(2, 3, p99), row(1, 1.9, p99))).toBe("better");
    expect(run("compare", "/no/such/file", "/no/such/file")).toMatchObject({ status: 2 });
    expect(run("compare", "one")).toMatchObject({ status: 2, stderr: expect.stringContaining("two files") });
  });

  test("says what may be asked of it, and what may not", () => {
    expect(run("--help")).toMatchObject({ status: 0, stdout: expect.stringContaining("--rows") });
    expect(run("--rows", "sideways")).toMatchObject({ status: 2, stderr: expect.stringContaining("no row sideways") });
    expect(readOptions(["--", "--rows", "post, intake"])).toMatchObject({
      options: { rows: ["post", "intake"], rounds: 5 },
    });
    expect(readOptions(["--rounds", "0"])).toMatchObject({ kind: "wrong" });
  });
});

describe("the bench's statistics", () => {
  test("take the middle, or the mean of the two in the middle", () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 2, 3])).toBe(2.5);
  });

  test("take a percentile that was measured", () => {
    const values = Array.from({ length: 200 }, (_, index) => 200 - index);
    expect(percentile(values, 0.99)).toBe(199);
    expect(percentile([7], 0.99)).toBe(7);
    expect(percentile([], 0.5)).toBeNaN();
  });
});

// A sample of the bench, far too short for figures: every row runs to its end and says a ratio.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { compareRuns, verdictOf } from "./compare.js";
import { type Growth, TOLERANCE, growthTable, isSuperLinear, stepsOf } from "./growth.js";
import type { Figures } from "./measure.js";
import { ROW_NAMES, readOptions } from "./options.js";
import { median, percentile } from "./statistics.js";

const main = path.join(import.meta.dirname, "main.js");
const SAMPLE_MS = 600_000; // beside all other tests of the suite

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "outcry-bench-"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(...args: string[]) {
  return spawnSync(process.execPath, [main, ...args], { encoding: "utf8", timeout: SAMPLE_MS });
}

describe("npm run bench", () => {
  test(
    "measures each row on real servers and saves what it prints",
    () => {
      const json = path.join(folder, "sample.json");
      const sample = ["--rows", "all", "--quick", "--rounds", "1", "--seconds", "0.05"];
      const { status, stdout, stderr } = run(...sample, "--json", json);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      const { figures, growth } = JSON.parse(readFileSync(json, "utf8")) as { figures: Figures[]; growth: Growth[] };
      expect(new Set([...figures.map(({ row }) => row), "growth"])).toEqual(new Set(ROW_NAMES));
      expect(new Set(growth.map(({ grows }) => grows))).toEqual(new Set(["nodes", "intents stored"]));
      for (const { label, ratio, ours, limit } of figures) {
        expect(stdout).toContain(label);
        expect(Math.min(ratio, ours.rate, limit.rate)).toBeGreaterThan(0);
        if (ours.latencies > 0) expect(ours.p99Ms).toBeGreaterThan(0);
      }
      const picture = readFileSync(path.join(folder, "sample.svg"), "utf8");
      for (const { label } of figures) expect(picture).toContain(`>${label}</text>`);
      expect(picture.match(/<rect/g)).toHaveLength(1 + figures.length);
      const grown = readFileSync(path.join(folder, "sample-growth.svg"), "utf8");
      for (const { label, points } of growth) {
        expect(stdout).toContain(label);
        expect(grown).toContain(`>${label}</text>`);
        expect(points).toHaveLength(2);
        for (const { perItem } of points) expect(perItem).toBeGreaterThan(0);
      }
      expect(grown).not.toContain("NaN");

      const same = run("compare", json, json);
      expect(same.status).toBe(0);
      expect(same.stdout.match(/ \+0 % +same /g)).toHaveLength(figures.length);
      for (const { label } of growth) expect(same.stdout).toContain(label);
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
    expect(readOptions(["--minutes", "0"])).toMatchObject({ kind: "wrong" });
    expect(readOptions([])).toMatchObject({ options: { rows: ROW_NAMES.filter((name) => name !== "growth") } });
    expect(readOptions(["--rows", "all"])).toMatchObject({ options: { rows: ROW_NAMES } });
  });
});

describe("growth", () => {
  const growthOf = (points: [size: number, perItem: number][]): Growth => ({
    label: "POST, p50",
    what: "time",
    unit: "ms",
    grows: "intents stored",
    tolerance: TOLERANCE,
    isRaw: false,
    points: points.map(([size, perItem]) => ({ size, perItem })),
  });

  test("is super-linear when an item costs more at ten times the size, beyond the tolerance", () => {
    const steady = growthOf([
      [1_000, 2],
      [10_000, 2 * TOLERANCE],
      [100_000, 1],
    ]);
    expect(stepsOf(steady).map(({ factor }) => factor)).toEqual([TOLERANCE, 1 / (2 * TOLERANCE)].map(near));
    expect(isSuperLinear(steady)).toBe(false);
    expect(growthTable([steady])).toContain("No super-linear step");

    const quadratic = growthOf([
      [1_000, 2],
      [10_000, 20],
    ]);
    expect(isSuperLinear(quadratic)).toBe(true);
    expect(growthTable([steady, quadratic])).toContain("POST, p50, 1,000 → 10,000 intents stored: ×10.00 per tenfold");
  });

  test("is not super-linear where a larger size costs less again: that was the machine", () => {
    const bump = growthOf([
      [1_000, 1],
      [10_000, 9],
      [100_000, 1.2],
    ]);
    expect(stepsOf(bump).map(({ superLinear }) => superLinear)).toEqual([false, false]);
    expect(stepsOf(bump)[0]!.factor).toEqual(near(9));
  });

  test("of a raw loop is shown and not judged, and a known cause stands beside the verdict", () => {
    const growing = growthOf([
      [1_000, 1],
      [10_000, 9],
    ]);
    expect(isSuperLinear({ ...growing, isRaw: true })).toBe(false);
    expect(growthTable([{ ...growing, isRaw: true }])).toMatch(/×9\.00 +– +raw/);
    expect(growthTable([{ ...growing, cause: "the disk" }])).toContain("allowed ×1.5 (the disk)");
  });

  test("of another distance than tenfold is told per tenfold", () => {
    const [step] = stepsOf(
      growthOf([
        [100, 1],
        [10_000, 4],
      ]),
    );
    expect(step).toMatchObject({ from: 100, to: 10_000, factor: near(2), superLinear: true });
  });

  test("of two runs is compared at the largest size that both reached", () => {
    const machine = { started: "now", node: "v0", nats: "0", redis: "0", cpus: 1 };
    const runOf = (...points: [number, number][]) => ({ machine, figures: [], growth: [growthOf(points)] });
    const compared = compareRuns(runOf([1_000, 2], [10_000, 4]), runOf([1_000, 3], [10_000, 3], [100_000, 9]));
    expect(compared).toMatch(/POST, p50 \(ms\) +10,000 intents stored +4\.00 +3\.00 +−25 % +×2\.00 +×3\.00/);
    expect(compareRuns({ machine, figures: [] }, runOf([1_000, 2], [10_000, 4]))).not.toContain("POST");
  });
});

const near = (value: number) => expect.closeTo(value, 9) as unknown as number;

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

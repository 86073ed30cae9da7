// What a bench run found, as a file keeps it and as people read it; and two runs held against each other.

import { readFileSync } from "node:fs";
import { UsageError } from "../exit-codes.js";
import { quantile } from "../quantile.js";
import type { Measured } from "./load.js";

export interface Quantiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

export interface BenchReport {
  readonly format: "outcry-bench-1";
  readonly at: string;
  readonly url: string;
  readonly rate_per_second: number;
  readonly duration_ms: number;
  readonly posts: number;
  readonly accepted: number;
  readonly failed: Readonly<Record<string, number>>;
  readonly incomplete: number;
  /** ms; absent where nothing was measured. */
  readonly post_ms?: Quantiles;
  readonly first_ack_ms?: Quantiles;
  readonly last_ack_ms?: Quantiles;
}

interface RunFacts {
  url: string;
  ratePerSecond: number;
  durationMs: number;
  at: string;
}

export function reportOf({ url, ratePerSecond, durationMs, at }: RunFacts, measured: Measured): BenchReport {
  const { posts, accepted, failed, incomplete, postMs, firstAckMs, lastAckMs } = measured;
  return {
    format: "outcry-bench-1",
    at,
    url,
    rate_per_second: ratePerSecond,
    duration_ms: durationMs,
    posts,
    accepted,
    failed,
    incomplete,
    ...quantiles("post_ms", postMs),
    ...quantiles("first_ack_ms", firstAckMs),
    ...quantiles("last_ack_ms", lastAckMs),
  };
}

function quantiles<K extends string>(name: K, values: readonly number[]): { [P in K]?: Quantiles } {
  if (values.length === 0) return {};
  const at = (share: number) => Math.round(quantile(values, share)! * 100) / 100;
  const found: Quantiles = { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
  return { [name]: found } as { [P in K]?: Quantiles };
}

export const ROWS = [
  ["post_ms", "POST → 202"],
  ["first_ack_ms", "POST → first ack heard"],
  ["last_ack_ms", "POST → last ack heard"],
] as const;

export function reportLines(report: BenchReport): string[] {
  const { posts, accepted, failed, incomplete, rate_per_second: rate, duration_ms: ms } = report;
  const failures = Object.entries(failed).map(([code, count]) => `${code} ${count}`);
  return [
    `${posts} posts at ${rate}/s for ${ms / 1_000} s: ${accepted} accepted${failures.length === 0 ? "" : `, failed: ${failures.join(", ")}`}`,
    ...ROWS.flatMap(([key, title]) => {
      const found = report[key];
      return found === undefined
        ? []
        : [`${title.padEnd(24)} p50 ${found.p50} ms   p95 ${found.p95} ms   p99 ${found.p99} ms   max ${found.max} ms`];
    }),
    ...(incomplete === 0 ? [] : [`${incomplete} intents had a target that never answered`]),
  ];
}

export function readReport(file: string): BenchReport {
  let report: Partial<BenchReport>;
  try {
    report = JSON.parse(readFileSync(file, "utf8")) as Partial<BenchReport>;
  } catch (error) {
    throw new UsageError(`${file}: ${(error as Error).message}`);
  }
  if (report.format !== "outcry-bench-1") throw new UsageError(`${file} was not saved by outcry bench`);
  return report as BenchReport;
}

export interface Comparison {
  readonly what: string;
  readonly a: number;
  readonly b: number;
  /** b / a: above 1 is slower. */
  readonly ratio: number;
}

export function compareReports(a: BenchReport, b: BenchReport): Comparison[] {
  return ROWS.flatMap(([key, title]) => {
    const [left, right] = [a[key], b[key]];
    if (left === undefined || right === undefined) return [];
    return (["p50", "p95", "p99"] as const).map((share) => ({
      what: `${title} ${share}`,
      a: left[share],
      b: right[share],
      ratio: Math.round((right[share] / Math.max(left[share], 0.01)) * 100) / 100,
    }));
  });
}

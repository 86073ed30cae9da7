// The results as text for a terminal.

import { type Figures, type SideFigures, totalCpu } from "./measure.js";

const HEAD = ["row", "limit", "ours", "", "ratio", "(rounds)", "goal", "", "p50 ms", "p99 ms"];
const COST_HEAD = ["CPU µs per message", "process", "limit", "ours", "peak MiB"];
const MARK = { met: "met", short: "SHORT", none: "" } as const;

export function resultTable(all: readonly Figures[]): string {
  const rows = all.map((figures) => [
    figures.label,
    rate(figures.limit),
    rate(figures.ours),
    figures.unit,
    figures.ratio.toFixed(2),
    figures.ratioRange.map((ratio) => ratio.toFixed(2)).join("–"),
    goalText(figures),
    MARK[verdict(figures)],
    pair(figures.limit.p50Ms, figures.ours.p50Ms),
    pair(figures.limit.p99Ms, figures.ours.p99Ms),
  ]);
  return aligned([HEAD, ...rows]);
}

export function costTable(all: readonly Figures[]): string {
  const rows = all.flatMap((figures) => {
    const processes = Object.keys(figures.ours.cpuUsPerMessage);
    const lines = processes.map((name, index) => [
      index === 0 ? figures.label : "",
      name,
      us(figures.limit.cpuUsPerMessage[name]),
      us(figures.ours.cpuUsPerMessage[name]),
      String(figures.peakMemoryMiB[name] ?? ""),
    ]);
    return processes.length === 0
      ? []
      : [...lines, ["", "all", us(totalCpu(figures.limit)), us(totalCpu(figures.ours)), ""]];
  });
  return rows.length === 0
    ? "CPU per message: not taken by these rows, or this system has no /proc to read it from."
    : aligned([COST_HEAD, ...rows]);
}

/** What each ratio is of, and under which conditions. */
export function conditions(all: readonly Figures[]): string {
  return all
    .map((figures) =>
      [
        figures.label,
        `  limit: ${figures.limitIs}`,
        `  ${figures.conditions}`,
        ...figures.notes.map((note) => `  ${note}`),
      ].join("\n"),
    )
    .join("\n");
}

export function verdict({ goal, ratio }: Figures): keyof typeof MARK {
  if (goal === undefined) return "none";
  return (goal.of === "rate" ? ratio >= goal.atLeast : ratio <= goal.atMost) ? "met" : "short";
}

function goalText({ goal }: Figures): string {
  if (goal === undefined) return "–";
  if (goal.of === "rate") return `≥ ${goal.atLeast}`;
  return `${goal.of === "p99" ? "p99 " : ""}≤ ${goal.atMost} ×`;
}

const rate = ({ rate: value }: SideFigures): string =>
  value < 100 ? String(Number(value.toPrecision(3))) : Math.round(value).toLocaleString("en");
const ms = (value: number): string => (value < 10 ? value.toFixed(1) : value.toFixed(0));
const pair = (limit: number, ours: number): string =>
  Number.isNaN(ours) ? "–" : Number.isNaN(limit) ? `– → ${ms(ours)}` : `${ms(limit)} → ${ms(ours)}`;
const us = (value: number | undefined): string => (value === undefined ? "" : value.toFixed(value < 100 ? 1 : 0));

/** First column to the left, the others to the right. */
export function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row
      .map((text, column) => (column === 0 ? text.padEnd(widths[column]!) : text.padStart(widths[column]!)))
      .join("  ");
  const [head, ...body] = rows.map(line);
  return [head!, "─".repeat(head!.length), ...body].join("\n");
}

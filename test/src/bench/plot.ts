// The ratios of a run as a picture: a bar per row, the spread of its rounds, its goal. Plain SVG, readable on light and dark.

import type { Figures } from "./measure.js";
import { verdict } from "./table.js";

const WIDTH = 960;
const LABEL_WIDTH = 330;
const VALUE_WIDTH = 90;
const ROW_HEIGHT = 34;
const BAR_HEIGHT = 16;
const TOP = 64;
const BOTTOM = 44;
const AXIS_STEPS = [0.1, 0.25, 0.5, 1, 2, 5];
const TICKS_MAX = 8;
export const COLOURS = { met: "#2a7f62", short: "#c4622d", none: "#5b6b8c" } as const; // told apart by people who see no green, too

export function plot(figures: readonly Figures[], subtitle: string): string {
  const height = TOP + ROW_HEIGHT * figures.length + BOTTOM;
  const axis = axisOf(figures);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="system-ui, sans-serif" font-size="13">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(16, 26, "Outcry against the raw limit (bar: ratio, line: spread of the rounds, mark: goal)", { size: 16 }),
    text(16, 46, subtitle, { colour: "#666666" }),
    ...axis.ticks.flatMap((value) => tick(axis.x(value), value, height)),
    ...figures.flatMap((row, index) => bar(row, TOP + index * ROW_HEIGHT, axis.x)),
    text(16, height - 12, "Rates: higher is better, 1 is the limit itself. Times (p99): lower is better.", {
      colour: "#666666",
    }),
    "</svg>",
  ];
  return `${parts.join("\n")}\n`;
}

interface Axis {
  ticks: number[];
  /** Pixels from the left of a ratio. */
  x(ratio: number): number;
}

function axisOf(figures: readonly Figures[]): Axis {
  const largest = Math.max(1, ...figures.flatMap((row) => [row.ratioRange[1], goalOf(row) ?? 0]));
  const step = AXIS_STEPS.find((size) => largest / size <= TICKS_MAX) ?? Math.ceil(largest / TICKS_MAX);
  const end = Math.ceil(largest / step) * step;
  const room = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
  return {
    ticks: Array.from({ length: Math.round(end / step) + 1 }, (_, index) => index * step),
    x: (ratio) => LABEL_WIDTH + (Math.min(ratio, end) / end) * room,
  };
}

const goalOf = ({ goal }: Figures): number | undefined =>
  goal === undefined ? undefined : goal.of === "rate" ? goal.atLeast : goal.atMost;

function tick(x: number, value: number, height: number): string[] {
  const colour = value === 1 ? "#888888" : "#e3e3e3";
  return [
    `<line x1="${px(x)}" y1="${TOP - 6}" x2="${px(x)}" y2="${height - BOTTOM}" stroke="${colour}"/>`,
    text(x, height - BOTTOM + 16, String(Number(value.toFixed(2))), { anchor: "middle", colour: "#666666" }),
  ];
}

function bar(row: Figures, top: number, x: Axis["x"]): string[] {
  const middle = top + ROW_HEIGHT / 2;
  const [low, high] = row.ratioRange.map(x) as [number, number];
  const goal = goalOf(row);
  const width = Math.max(1, x(row.ratio) - x(0));
  return [
    text(LABEL_WIDTH - 10, middle + 4, row.label, { anchor: "end" }),
    `<rect x="${px(x(0))}" y="${px(middle - BAR_HEIGHT / 2)}" width="${px(width)}" height="${BAR_HEIGHT}" fill="${COLOURS[verdict(row)]}"/>`,
    `<line x1="${px(low)}" y1="${px(middle)}" x2="${px(high)}" y2="${px(middle)}" stroke="#111111" stroke-width="1.5"/>`,
    ...(goal === undefined ? [] : [goalMark(x(goal), middle)]),
    text(WIDTH - VALUE_WIDTH + 12, middle + 4, row.ratio.toFixed(2), {}),
  ];
}

const goalMark = (x: number, middle: number): string =>
  `<path d="M${px(x)} ${px(middle - 13)}V${px(middle + 13)}" stroke="#111111" stroke-width="3" stroke-dasharray="4 2"/>`;

interface TextStyle {
  size?: number;
  colour?: string;
  anchor?: "middle" | "end";
}

export function text(x: number, y: number, words: string, { size, colour = "#222222", anchor }: TextStyle): string {
  const style = `${size === undefined ? "" : ` font-size="${size}"`}${anchor === undefined ? "" : ` text-anchor="${anchor}"`}`;
  return `<text x="${px(x)}" y="${px(y)}" fill="${colour}"${style}>${escaped(words)}</text>`;
}

export const px = (value: number): string => String(Math.round(value * 10) / 10);
const escaped = (words: string): string =>
  words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

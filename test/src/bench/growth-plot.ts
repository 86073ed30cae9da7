// Growth as a picture: a small log-log panel for each thing measured, cost of one item over the size. A flat line is linear growth.

import { type Growth, isSuperLinear, sizeText, valueText } from "./growth.js";
import { COLOURS, px, text } from "./plot.js";

const PANEL_WIDTH = 320;
const PANEL_HEIGHT = 190;
const COLUMNS = 3;
const TOP = 64;
const BOTTOM = 36;
const PLOT = { left: 56, right: 16, top: 40, bottom: 36 } as const;

export function growthPlot(all: readonly Growth[], subtitle: string): string {
  const height = TOP + Math.ceil(all.length / COLUMNS) * PANEL_HEIGHT + BOTTOM;
  const width = COLUMNS * PANEL_WIDTH;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" font-family="system-ui, sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(16, 26, "Outcry: cost of one item while the system grows (both axes logarithmic)", { size: 16 }),
    text(16, 46, subtitle, { colour: "#666666" }),
    ...all.flatMap((growth, index) =>
      panel(growth, (index % COLUMNS) * PANEL_WIDTH, TOP + Math.floor(index / COLUMNS) * PANEL_HEIGHT),
    ),
    text(
      16,
      height - 12,
      "Flat or falling: linear or better. Dashed: the most that is allowed, from the step before.",
      {
        colour: "#666666",
      },
    ),
    "</svg>",
  ];
  return `${parts.join("\n")}\n`;
}

function panel(growth: Growth, left: number, top: number): string[] {
  const { points, label, unit, grows, tolerance } = growth;
  const colour = isSuperLinear(growth) ? COLOURS.short : COLOURS.met;
  const x = scale(
    points.map(({ size }) => size),
    left + PLOT.left,
    left + PANEL_WIDTH - PLOT.right,
  );
  const values = points.map(({ perItem }) => perItem);
  const y = scale(
    [...values, ...values.map((value) => value * tolerance)],
    top + PANEL_HEIGHT - PLOT.bottom,
    top + PLOT.top,
  );
  const line = points.map(({ size, perItem }) => `${px(x(size))},${px(y(perItem))}`).join(" ");
  return [
    text(left + 8, top + 14, label, { size: 13 }),
    text(left + 8, top + 30, `${unit}, over ${grows}`, { colour: "#666666" }),
    ...points.slice(1).map((point, index) => allowed(points[index]!, point, tolerance, x, y)),
    `<polyline points="${line}" fill="none" stroke="${colour}" stroke-width="2"/>`,
    ...points.flatMap(({ size, perItem }) => [
      `<circle cx="${px(x(size))}" cy="${px(y(perItem))}" r="3.5" fill="${colour}"/>`,
      text(x(size), y(perItem) - 8, valueText(perItem), { anchor: "middle" }),
      text(x(size), top + PANEL_HEIGHT - 14, sizeText(size), { anchor: "middle", colour: "#666666" }),
    ]),
  ];
}

type Scale = (value: number) => number;

function allowed(
  before: Growth["points"][number],
  point: Growth["points"][number],
  tolerance: number,
  x: Scale,
  y: Scale,
): string {
  const most = before.perItem * tolerance ** Math.log10(point.size / before.size);
  return `<line x1="${px(x(before.size))}" y1="${px(y(before.perItem))}" x2="${px(x(point.size))}" y2="${px(y(most))}" stroke="#999999" stroke-dasharray="3 3"/>`;
}

/** Logarithmic, at least a tenfold high: noise must not look like growth. */
function scale(values: readonly number[], from: number, to: number): Scale {
  const logs = values.filter((value) => value > 0).map(Math.log10);
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  const room = Math.max(0, 1 - (high - low)) / 2;
  const [start, end] = [low - room, high + room];
  return (value) => from + ((Math.log10(value) - start) / (end - start)) * (to - from);
}

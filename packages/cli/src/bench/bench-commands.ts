// outcry bench and outcry bench compare. A look at a running deployment, not the project's own measurements (npm run bench).

import { writeFileSync } from "node:fs";
import type { Command } from "../command.js";
import { CheckFailed } from "../exit-codes.js";
import { REQUEST_OPTIONS, requestOf } from "../intent-send.js";
import { runLoad } from "./load.js";
import { compareReports, readReport, reportLines, reportOf } from "./report.js";

const RATE = { min: 1, max: 1_000, byDefault: 10 }; // of one client process; beyond it the client is what is measured
const SECONDS = { min: 1, max: 600, byDefault: 10 };
const QUERY = "outcry bench";

export const bench: Command = {
  summary: "Post intents at a rate and measure: answers, first and last ack",
  args: [],
  options: {
    rate: { type: "string", value: "number", help: "intents per second; 10 by default" },
    duration: { type: "string", value: "seconds", help: "10 by default" },
    ...REQUEST_OPTIONS,
    save: { type: "string", value: "file", help: "keep the result, for bench compare" },
    "dry-run": { type: "boolean", help: "say what would be posted, post nothing" },
  },
  examples: [
    "bench --rate 50 --duration 30 --category apparel --save before.json",
    "bench --target nod_01kahsomenode --window-ms 2000 --json",
  ],
  async run({ client, options, print, readInput, signal, progress, url }) {
    const ratePerSecond = options.within("rate", RATE);
    const durationMs = options.within("duration", SECONDS) * 1_000;
    const request = await requestOf(options, readInput, QUERY);
    const posts = Math.max(1, Math.round((ratePerSecond * durationMs) / 1_000));
    if (options.flag("dry-run"))
      return print.one({ posts, rate_per_second: ratePerSecond, request }, [
        `would post ${posts} real intents`,
        JSON.stringify(request),
      ]);
    const targets = options.list("target");
    const bar = progress("bench", posts);
    const at = new Date().toISOString();
    const measured = await runLoad({
      client,
      request,
      targets: targets.length === 0 ? undefined : targets,
      ratePerSecond,
      durationMs,
      signal,
      progress: bar,
    }).finally(() => bar.end());
    const report = reportOf({ url, ratePerSecond, durationMs, at }, measured);
    const file = options.text("save");
    if (file !== undefined) writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`);
    print.one(report, reportLines(report));
    if (report.accepted === 0) throw new CheckFailed("no intent was accepted");
  },
};

export const benchCompare: Command = {
  summary: "Two saved runs side by side",
  args: ["before", "after"],
  options: {
    "slower-by": { type: "string", value: "percent", help: "end with 6 when a p50, p95 or p99 is slower by more" },
  },
  examples: ["bench compare before.json after.json --slower-by 20"],
  async run({ args, options, print }) {
    const rows = compareReports(readReport(args[0]!), readReport(args[1]!));
    print.list(rows, {
      "": (row) => row.what,
      BEFORE: (row) => `${row.a} ms`,
      AFTER: (row) => `${row.b} ms`,
      RATIO: (row) => row.ratio.toFixed(2),
    });
    const percent = options.integer("slower-by");
    const slower = percent === undefined ? [] : rows.filter(({ ratio }) => ratio > 1 + percent / 100);
    if (slower.length > 0)
      throw new CheckFailed(`slower by more than ${percent} %: ${slower.map(({ what }) => what).join(", ")}`);
  },
};

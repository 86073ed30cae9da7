// The process `outcry`: its arguments, environment, streams and signals, handed to run-command.ts.

import { text } from "node:stream/consumers";
import { runCommand } from "./run-command.js";

const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort(new DOMException("interrupted", "AbortError")));

process.exitCode = await runCommand(process.argv.slice(2), {
  env: process.env,
  out: (output) => void process.stdout.write(output),
  err: (output) => void process.stderr.write(output),
  readInput: () => text(process.stdin),
  signal: interrupted.signal,
  columns: {
    out: process.stdout.isTTY ? process.stdout.columns : undefined,
    err: process.stderr.isTTY ? process.stderr.columns : undefined,
  },
});

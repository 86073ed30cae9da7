// Runs a short command to its end and returns what it said. Never through a shell; output and time are bounded.

import { spawn } from "node:child_process";

const outputCharsMax = 2_000_000; // a package tool's chatter; more than this is not read by anyone

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMs: number;
  readonly onLine?: (line: string) => void;
}

export type CommandResult =
  | { readonly kind: "ended"; readonly code: number; readonly output: string }
  | { readonly kind: "unusable"; readonly why: string; readonly output: string };

export function runCommand(command: string, args: readonly string[], options: CommandOptions): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: options.cwd, env: options.env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let rest = "";
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill("SIGKILL");
    }, options.timeoutMs);

    const read = (chunk: string) => {
      output = (output + chunk).slice(-outputCharsMax);
      const lines = (rest + chunk).split("\n");
      rest = (lines.pop() ?? "").slice(-outputCharsMax);
      for (const line of lines) options.onLine?.(line);
    };
    child.stdout.setEncoding("utf8").on("data", read);
    child.stderr.setEncoding("utf8").on("data", read);
    child.on("error", (error) => {
      clearTimeout(timer);
      resolve({ kind: "unusable", why: error.message, output });
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (timedOut) resolve({ kind: "unusable", why: `no end after ${options.timeoutMs / 1000} s`, output });
      else if (code === null) resolve({ kind: "unusable", why: `ended by ${signal}`, output });
      else resolve({ kind: "ended", code, output });
    });
  });
}

/** The last line that says something, for a one-line report of a failure. */
export function lastLine(output: string): string {
  return output.trim().split("\n").at(-1)?.trim() ?? "";
}

// Tells one process from another that got the same id later: an id counts only together with its start.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

export interface ProcessIdentity {
  readonly pid: number;
  readonly started: string;
}

/** When the process began, in the system's own words; undefined when it is gone (or only a zombie is left). */
export function processStart(pid: number): string | undefined {
  return process.platform === "linux" ? linuxStart(pid) : portableStart(pid);
}

export function identify(pid: number): ProcessIdentity | undefined {
  const started = processStart(pid);
  return started === undefined ? undefined : { pid, started };
}

export function isAlive(identity: ProcessIdentity | undefined): boolean {
  return identity !== undefined && processStart(identity.pid) === identity.started;
}

function linuxStart(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" "); // the name before it may hold spaces
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19]; // proc(5): starttime, in clock ticks since boot
  } catch {
    return undefined; // no such process
  }
}

function portableStart(pid: number): string | undefined {
  try {
    const [state, ...started] = execFileSync("ps", ["-o", "stat=,lstart=", "-p", String(pid)], { encoding: "utf8" })
      .trim()
      .split(/\s+/);
    return !state || state.startsWith("Z") ? undefined : started.join(" ");
  } catch {
    return undefined; // ps ends with 1 when there is no such process
  }
}

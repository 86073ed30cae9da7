// What a process has cost so far, as Linux tells it. Elsewhere there are no such figures.

import { existsSync, readFileSync } from "node:fs";

export const TICK_US = 10_000; // USER_HZ is 100 on every Linux that Node runs on

/** User and system time of all threads, µs; undefined where /proc is not. */
export function cpuUs(pid: number): number | undefined {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return undefined;
  const text = readFileSync(file, "latin1");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" "); // proc(5): the name in parentheses may hold spaces
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

/** Time that all processes of the machine were busy, all CPUs, µs. */
export function machineBusyUs(): number | undefined {
  const file = "/proc/stat";
  if (!existsSync(file)) return undefined;
  const [user, nice, system, , , interrupt, softInterrupt] = readFileSync(file, "latin1")
    .split("\n")[0]!
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user! + nice! + system! + interrupt! + softInterrupt!) * TICK_US; // proc(5): idle, iowait and steal stand between and behind
}

/** Most memory that was ever resident, MiB. */
export function peakMemoryMiB(pid: number): number | undefined {
  const kib = statusKib(pid, /^VmHWM:\s+(\d+) kB/m);
  return kib === undefined ? undefined : Math.round(kib / 1_024);
}

/** Memory that is resident now, bytes. */
export function residentBytes(pid: number): number | undefined {
  const kib = statusKib(pid, /^VmRSS:\s+(\d+) kB/m);
  return kib === undefined ? undefined : kib * 1_024;
}

function statusKib(pid: number, line: RegExp): number | undefined {
  const file = `/proc/${pid}/status`;
  if (!existsSync(file)) return undefined;
  const found = line.exec(readFileSync(file, "latin1"));
  return found ? Number(found[1]) : undefined;
}

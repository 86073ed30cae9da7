// What the process of a server under test tells of itself: CPU to the microsecond (/proc counts in steps of 10 ms), memory behind a
// collection, system calls that wrote, and how long one turn of its event loop has held up all others.

import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { profileVerbs } from "./profile.js";

export interface Memory {
  residentBytes: number;
  heapBytes: number;
}

export interface Turn {
  wallMs: number;
  cpuMs: number;
}

export function probeVerbs() {
  let watching: NodeJS.Immediate | undefined;
  let longest: Turn = { wallMs: 0, cpuMs: 0 };
  return {
    ...profileVerbs,
    /** User and system time of all threads so far, µs. */
    async cpuUs(): Promise<number> {
      return cpuUs();
    },
    /** Calls of write(2) and its like; 0 where /proc is not. */
    async writeCalls(): Promise<number> {
      try {
        return Number(/^syscw: (\d+)/m.exec(readFileSync("/proc/self/io", "latin1"))?.[1] ?? 0);
      } catch {
        return 0; // not on this system, or not for this user
      }
    },
    async memory(): Promise<Memory> {
      setFlagsFromString("--expose-gc");
      const collect = runInNewContext("gc") as () => void;
      collect();
      const { rss, heapUsed, external } = process.memoryUsage();
      return { residentBytes: rss, heapBytes: heapUsed + external };
    },
    /** From now on each turn is timed; the loop spins meanwhile. */
    async watchTurns(): Promise<void> {
      longest = { wallMs: 0, cpuMs: 0 };
      let [atMs, spentUs] = [performance.now(), cpuUs()];
      const turn = (): void => {
        const [nowMs, nowUs] = [performance.now(), cpuUs()];
        // The thread's own CPU is not to be had: a collection's other threads are in it, and the kernel's in neither.
        const cpuMs = (nowUs - spentUs) / 1_000;
        if (cpuMs > longest.cpuMs) longest = { wallMs: nowMs - atMs, cpuMs };
        [atMs, spentUs] = [nowMs, nowUs];
        watching = setImmediate(turn);
      };
      watching = setImmediate(turn);
    },
    async longestTurn(): Promise<Turn> {
      clearImmediate(watching);
      return longest;
    },
  };
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

export type ProbeVerbs = ReturnType<typeof probeVerbs>;

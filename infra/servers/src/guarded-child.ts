// Starts a server so that it cannot outlive this process, whatever ends it, kill -9 included. A small shell is the
// server's parent and holds a pipe to us: when the pipe closes it ends the server politely, then firmly.

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { Readable } from "node:stream";

// Own session: the terminal's Ctrl-C and hang-up reach us alone, and we stop the server in order.
// pdeathsig, where setpriv has it, covers the one case left: the shell itself being killed.
const guard = `
if setpriv --pdeathsig TERM true 2>/dev/null; then set -- setpriv --pdeathsig TERM "$@"; fi
exec 4<&0 0</dev/null
"$@" 3>&- 4<&- &
server=$!
echo "$server" >&3
exec 3>&-
(
  read -r _ <&4
  kill -TERM "$server"; kill -CONT "$server"
  waited=0
  while [ "$waited" -lt 100 ] && kill -0 "$server"; do sleep 0.1; waited=$((waited + 1)); done
  kill -KILL "$server"
) >/dev/null 2>&1 &
watcher=$!
exec 4<&-
wait "$server"
code=$?
kill "$watcher" 2>/dev/null
exit "$code"
`;

export interface GuardedChild {
  /** The server's own process id, not the shell's. */
  readonly pid: number;
  readonly exited: Promise<ServerExit>;
  hasExited(): boolean;
}

export interface ServerExit {
  /** As a shell tells it: above 128 it was ended by signal (code − 128). */
  readonly code: number;
}

export async function startGuarded(
  command: string,
  args: readonly string[],
  cwd: string,
  logFile: string,
): Promise<GuardedChild> {
  const log = openSync(logFile, "a");
  let shell: ChildProcess;
  try {
    shell = spawn("/bin/sh", ["-c", guard, "outcry-guard", command, ...args], {
      cwd,
      detached: true,
      stdio: ["pipe", log, log, "pipe"],
    });
  } finally {
    closeSync(log);
  }
  let ended = false;
  const exited = new Promise<ServerExit>((resolve) => {
    shell.once("exit", (code, signal) => {
      ended = true;
      shell.stdin?.destroy();
      resolve({ code: code ?? (signal === "SIGKILL" ? 137 : 1) });
    });
  });
  const failed = new Promise<never>((_, reject) => shell.once("error", reject));
  shell.stdin?.on("error", () => undefined); // the shell ended first; `exited` tells
  const pid = await Promise.race([readPid(shell.stdio[3] as Readable), failed]);
  failed.catch(() => undefined); // once it runs, its end tells: a later error is of a signal to one that is gone
  return { pid, exited, hasExited: () => ended };
}

function readPid(pipe: Readable): Promise<number> {
  return new Promise((resolve, reject) => {
    let text = "";
    pipe.setEncoding("utf8");
    pipe.on("data", (chunk: string) => (text += chunk));
    pipe.once("error", reject);
    pipe.once("end", () =>
      /^\d+\n$/.test(text) ? resolve(Number(text)) : reject(new Error("the guarding shell did not start the server")),
    );
  });
}

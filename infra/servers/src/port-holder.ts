// Names the process that listens on a port, as far as this user may see it: for a message, not for decisions.

import { readdir, readFile, readlink } from "node:fs/promises";
import { runCommand } from "./run-command.js";

const listening = "0A"; // proc(5) /proc/net/tcp: TCP_LISTEN

export async function portHolder(port: number): Promise<string> {
  const holder = process.platform === "linux" ? await linuxHolder(port) : await lsofHolder(port);
  return holder ?? "another process";
}

async function linuxHolder(port: number): Promise<string | undefined> {
  const inodes = new Set([...(await listeners("/proc/net/tcp", port)), ...(await listeners("/proc/net/tcp6", port))]);
  if (inodes.size === 0) return undefined;
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []); // another user's are closed to us
    for (const descriptor of descriptors) {
      const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => "");
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (inode === undefined || !inodes.has(inode)) continue;
      const name = (await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "")).trim();
      return `${name || "a process"} (pid ${pid})`;
    }
  }
  return undefined;
}

async function listeners(table: string, port: number): Promise<string[]> {
  const text = await readFile(table, "utf8").catch(() => "");
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return text.split("\n").flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    return fields[1]?.endsWith(suffix) && fields[3] === listening && fields[9] !== undefined ? [fields[9]] : [];
  });
}

async function lsofHolder(port: number): Promise<string | undefined> {
  const result = await runCommand("lsof", ["-nP", `-iTCP:${port}`, "-sTCP:LISTEN", "-Fpc"], { timeoutMs: 5000 });
  if (result.kind === "unusable") return undefined;
  const pid = /^p(\d+)$/m.exec(result.output)?.[1];
  const name = /^c(.+)$/m.exec(result.output)?.[1];
  return pid === undefined ? undefined : `${name ?? "a process"} (pid ${pid})`;
}

// Chooses a TCP port on the loopback address. A taken wish is named with its holder and the next free one is used.

import { connect, createServer } from "node:net";
import { portHolder } from "./port-holder.js";
import { type Progress, silent } from "./progress.js";

const loopback = "127.0.0.1";
const nextPortsTried = 100;
// Below every system's range for outgoing connections (Linux from 32768, macOS from 49152): a client that tries to
// reconnect while its server is down can otherwise be given the server's own port, even connect to itself.
const freeFrom = 15_000;
const freeTo = 32_000;

/** `wanted` 0 means any free port. */
export async function pickPort(wanted: number, progress: Progress = silent): Promise<number> {
  if (wanted === 0) return anyFreePort();
  if (await isFree(wanted)) return wanted;
  for (let port = wanted + 1; port <= Math.min(wanted + nextPortsTried, 65_535); port += 1) {
    if (!(await isFree(port))) continue;
    progress(`port ${wanted} is taken by ${await portHolder(wanted)}; using ${port}`);
    return port;
  }
  throw new Error(
    `no free port from ${wanted} to ${wanted + nextPortsTried}: ${wanted} is taken by ${await portHolder(wanted)}`,
  );
}

async function anyFreePort(): Promise<number> {
  for (let attempt = 0; attempt < nextPortsTried; attempt += 1) {
    const port = freeFrom + Math.floor(Math.random() * (freeTo - freeFrom));
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port found between ${freeFrom} and ${freeTo}`);
}

/** Both ways: macOS lets a more specific address be bound over a wildcard listener, which only connecting shows. */
async function isFree(port: number): Promise<boolean> {
  return (await canListen(port)) && !(await answers(port));
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: loopback, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: loopback });
    const end = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}

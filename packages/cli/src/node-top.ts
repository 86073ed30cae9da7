// outcry node top: who answers, how fast, who is asked again and given up. A live table on a terminal, plain lines elsewhere.

import { setTimeout as sleep } from "node:timers/promises";
import { isOutcryError } from "@outcry/protocol";
import type { Command, CommandContext } from "./command.js";
import { UsageError } from "./exit-codes.js";
import { NodeBoard, type NodeRow } from "./node-board.js";
import { type Printer, table } from "./print.js";
import { quantile } from "./quantile.js";

const REFRESH_MS = 1_000;
const QUIET_MS = 500; // --once: so long without an event is the end of what is kept
const ONCE_MAX_MS = 10_000;
const NODES_PAGE = 200;

export const nodeTop: Command = {
  summary: "Acks, quotes, silence and ack latency per node, live",
  args: [],
  options: {
    backend: {
      type: "string",
      multiple: true,
      value: "id",
      help: "of these marketplaces; an admin sees all by default",
    },
    "from-start": { type: "boolean", help: "begin with the oldest events kept instead of now" },
    once: { type: "boolean", help: "one table of the events kept, then end" },
    "interval-ms": { type: "string", value: "ms", help: "between two tables; 1000 by default" },
  },
  examples: ["node top", "node top --backend bkd_01kahsomebackend --once --json"],
  async run(context) {
    const { options, client, print, signal } = context;
    const once = options.flag("once");
    const intervalMs = options.within("interval-ms", { min: 100, max: 3_600_000, byDefault: REFRESH_MS });
    const channels = (await backendsOf(context)).map((id) => `backend:${id}` as const);
    const names = await nodeNames(context);
    const board = new NodeBoard();
    const ended = new AbortController();
    const stop = AbortSignal.any([signal, ended.signal]);
    const from = once || options.flag("from-start") ? ({ from: "start" } as const) : {};
    let heardAt = performance.now();
    const hear = async (name: `backend:${string}`): Promise<void> => {
      for await (const message of client.realtime.channel(name, { signal: stop, ...from })) {
        heardAt = performance.now();
        if (message.kind === "event") board.take(message.event);
      }
    };
    const hearing = Promise.all(channels.map(hear));
    const showing = once
      ? quiet(() => heardAt).then(() => show(print, board, names))
      : showEvery(intervalMs, stop, () => show(print, board, names));
    try {
      await Promise.race([showing, hearing.then(() => showing)]);
    } finally {
      ended.abort();
      await hearing.catch((error: unknown) => {
        if (!ended.signal.aborted) throw error;
      });
    }
  },
};

/** The marketplaces whose feeds are read: as told, else all that an admin's list of keys names. */
async function backendsOf({ options, client }: CommandContext): Promise<string[]> {
  const told = options.list("backend");
  if (told.length > 0) return told;
  const { data } = await client.listApiKeys().catch((error: unknown) => {
    if (!isOutcryError(error, "permission_denied")) throw error;
    throw new UsageError("--backend is missing: only an admin's key can list the marketplaces");
  });
  const found = [...new Set(data.flatMap(({ backend_id }) => (backend_id === undefined ? [] : [backend_id])))];
  if (found.length === 0) throw new UsageError("there is no marketplace yet: outcry api-key create --role backend");
  return found;
}

/** By id; a backend may not read the registry and sees ids. */
async function nodeNames({ client }: CommandContext): Promise<ReadonlyMap<string, string>> {
  const { data } = await client.nodes.list({ limit: NODES_PAGE }).catch((error: unknown) => {
    if (!isOutcryError(error, "permission_denied")) throw error;
    return { data: [] };
  });
  return new Map(data.map(({ id, name }) => [id, name]));
}

async function quiet(heardAt: () => number): Promise<void> {
  const from = performance.now();
  while (performance.now() - heardAt() < QUIET_MS && performance.now() - from < ONCE_MAX_MS) await sleep(50);
}

async function showEvery(intervalMs: number, signal: AbortSignal, showOnce: () => void): Promise<void> {
  for (;;) {
    showOnce();
    await sleep(intervalMs, undefined, { signal });
  }
}

function show(print: Printer, board: NodeBoard, names: ReadonlyMap<string, string>): void {
  const rows = [...board.rows.values()].toSorted((a, b) => b.acked + b.quoted - a.acked - a.quoted || b.dead - a.dead);
  if (print.json) return print.list(rows.map(jsonRow), {});
  const text = table(rows, {
    NODE: (row) => row.node,
    NAME: (row) => names.get(row.node),
    ACKS: (row) => row.acked,
    QUOTES: (row) => row.quoted,
    DECLINES: (row) => row.declined,
    RETRIES: (row) => row.retried,
    DEAD: (row) => row.dead,
    "ACK P50": (row) => ms(quantile(row.ackMs, 0.5)),
    "ACK P99": (row) => ms(quantile(row.ackMs, 0.99)),
    "LAST SEEN": (row) => row.lastSeen,
  });
  if (print.style.columns === undefined) return print.raw(text);
  const { columns } = print.style;
  print.screen([
    `outcry node top  ${new Date().toISOString()}  Ctrl-C ends it`,
    ...text.split("\n").map((line) => line.slice(0, columns)),
  ]);
}

const ms = (value: number | undefined): string | undefined => (value === undefined ? undefined : `${value} ms`);

const jsonRow = ({ node, ackMs, lastSeen, ...counts }: NodeRow) => ({
  node_id: node,
  ...counts,
  ...(lastSeen === undefined ? {} : { last_seen: lastSeen }),
  ack_ms: { p50: quantile(ackMs, 0.5) ?? null, p99: quantile(ackMs, 0.99) ?? null },
});

// Appends to one stream by adaptive group commit: a few entries at once as concurrent singles, more as one atomic batch
// (ADR-50) at a time. A single append is one fsync, a batch four whatever its size: they cross at 12 to 16 entries.

import { OutcryError } from "@outcry/protocol";
import type { Backbone } from "./connect.js";
import { commitBatch, sendSingle } from "./commit.js";
import type { Appended, CommitDeps, Queued } from "./commit.js";
import { headerLines } from "./headers.js";
import type { HeaderFields } from "./headers.js";
import { Overlap } from "./overlap.js";
import type { Expectation } from "./overlap.js";

const BATCH_FROM = 13; // measured.md: below it concurrent singles are faster
const BATCH_MAX = 500; // half of the server's 1,000; larger ones gain nothing
const BATCH_BYTES_MAX = 4 * 1024 * 1024; // the server keeps an open batch in memory
const QUEUE_MAX = 20_000; // some seconds of work: beyond it waiting callers only time out
const CONFLICT_ROUNDS = 3; // a batch with more conflicts is mostly a repetition, which singles settle faster

export type { Appended } from "./commit.js";

export interface AppendEntry {
  readonly subject: string;
  readonly data: Uint8Array;
  /** Without `Nats-*`: those are the appender's. */
  readonly headers?: HeaderFields;
  /** `Nats-Msg-Id`, remembered for 120 s: an optimisation, never the proof. */
  readonly msgId?: string;
  /** Nothing may be stored yet on the subject, or on `filter`. */
  readonly expectFirst?: boolean | { readonly filter: string };
  /** The last sequence on the subject, or on `filter`, must be this. */
  readonly expectLast?: { readonly seq: number; readonly filter?: string };
}

export interface Appender {
  readonly stream: string;
  /** Entries that wait for the next flush. */
  readonly queued: number;
  /**
   * Resolves when the server has stored it, or said that it will not.
   * Rejects with a temporary error when NATS is away or silent: the outcome is then unknown. It may be stored, so repeat it
   * with the same expectation or id and read the subject on `exists`. Nothing is retried here. `record_full` = refused for space.
   * Entries of the same subject keep their order.
   */
  append(entry: AppendEntry): Promise<Appended>;
}

export interface AppenderOptions {
  readonly stream: string;
  /** Waiting entries from which they go as one batch; fewer are under way as singles at a time. */
  readonly batchFrom?: number;
  readonly batchMax?: number;
  readonly queueMax?: number;
  readonly timeoutMs?: number;
}

export function createAppender(backbone: Backbone, options: AppenderOptions): Appender {
  const { stream, batchFrom = BATCH_FROM, batchMax = BATCH_MAX, queueMax = QUEUE_MAX } = options;
  const deps: CommitDeps = { backbone, stream, timeoutMs: options.timeoutMs ?? 5_000 };
  const singles = new Set<Queued>(); // under way
  let queue: Queued[] = [];
  let batching = false;
  let planned = false;

  const room = (): number => Math.max(0, batchFrom - 1 - singles.size);

  /** What this turn of the event loop appends goes together. */
  const plan = (): void => {
    if (planned || batching || queue.length === 0) return;
    if (room() === 0 && queue.length < batchFrom) return;
    planned = true;
    setImmediate(send);
  };

  // Singles are sent while others are under way: waiting for the slowest of a group left the server idle for a third of the
  // time at 16 connections. A batch waits for the batch before it, and grows meanwhile.
  const send = (): void => {
    planned = false;
    const { group, rest } = takeGroup(queue, singles, queue.length < batchFrom ? room() : batchMax);
    if (group.length >= batchFrom) {
      queue = rest;
      return sendBatch(group);
    }
    const alone = group.slice(0, room());
    queue = [...group.slice(alone.length), ...rest];
    for (const entry of alone) sendAlone(entry);
  };

  const sendAlone = (entry: Queued): void => {
    singles.add(entry);
    void sendSingle(deps, entry).then(() => {
      singles.delete(entry);
      plan();
    });
  };

  const sendBatch = (group: readonly Queued[]): void => {
    batching = true;
    void store(deps, group, batchFrom).then(() => {
      batching = false;
      plan();
    });
  };

  return {
    stream,
    get queued() {
      return queue.length;
    },
    append(entry) {
      if (!backbone.health.up)
        return Promise.reject(new OutcryError("dependency_unavailable", `nats is down: cannot append to ${stream}`));
      if (queue.length >= queueMax) {
        return Promise.reject(
          new OutcryError("dependency_unavailable", `${queue.length} appends to ${stream} are waiting`),
        );
      }
      return new Promise((resolve, reject) => {
        queue.push({ ...wireForm(entry, backbone.payloadBytesMax), resolve, reject });
        plan();
      });
    },
  };
}

/**
 * Takes the longest fitting group in order. Entries that exclude each other, or one that is under way, never share one; later ones
 * on a subject wait behind.
 */
function takeGroup(
  queue: readonly Queued[],
  underWay: Iterable<Queued>,
  max: number,
): { group: Queued[]; rest: Queued[] } {
  const group: Queued[] = [];
  const rest: Queued[] = [];
  const taken = new Overlap();
  const left = new Overlap();
  for (const entry of underWay) taken.add(entry);
  let bytes = 0;
  for (const [index, entry] of queue.entries()) {
    if (group.length >= max || bytes > BATCH_BYTES_MAX) {
      rest.push(...queue.slice(index));
      break;
    }
    const waits = taken.excludes(entry) || left.hasSubject(entry.subject) || left.excludes(entry);
    (waits ? left : taken).add(entry);
    (waits ? rest : group).push(entry);
    if (!waits) bytes += entry.data.length;
  }
  return { group, rest };
}

/** Settles every entry of the group. */
async function store(
  deps: CommitDeps,
  group: readonly Queued[],
  batchFrom: number,
  rounds = CONFLICT_ROUNDS,
): Promise<void> {
  if (group.length < batchFrom || rounds === 0) {
    await Promise.all(group.map((entry) => sendSingle(deps, entry)));
    return;
  }
  const answer = await commitBatch(deps, group);
  switch (answer.kind) {
    case "settled":
      return;
    case "conflict":
      return store(deps, answer.rest, batchFrom, rounds - 1);
    case "rejected": {
      // One entry spoils the batch and the server does not say which: halves find it.
      const half = Math.ceil(group.length / 2);
      await store(deps, group.slice(0, half), batchFrom, rounds);
      return store(deps, group.slice(half), batchFrom, rounds);
    }
  }
}

const BATCH_HEADER_BYTES = 200; // the longest Nats-Batch-* lines

/** Checked whole, so that one bad entry cannot spoil the batch it would be in. */
function wireForm(entry: AppendEntry, payloadBytesMax: number): Omit<Queued, "resolve" | "reject"> {
  const { subject, data, msgId } = entry;
  const headers: Record<string, string> = { ...entry.headers };
  if (Object.keys(headers).some((name) => /^nats-/i.test(name)))
    throw new TypeError("append: Nats-* headers steer the server");
  const expect = expectation(entry);
  if (msgId !== undefined) headers["Nats-Msg-Id"] = msgId;
  if (expect !== undefined) headers["Nats-Expected-Last-Subject-Sequence"] = String(expect.seq);
  if (expect !== undefined && expect.filter !== subject)
    headers["Nats-Expected-Last-Subject-Sequence-Subject"] = expect.filter;
  const lines = headerLines(headers);
  const bytes = data.length + Buffer.byteLength(lines) + BATCH_HEADER_BYTES;
  if (bytes > payloadBytesMax)
    throw new OutcryError("json_too_large", `${subject}: ${bytes} bytes; the server takes ${payloadBytesMax}`);
  return { subject, data, headerLines: lines, expect };
}

function expectation(entry: AppendEntry): Expectation | undefined {
  const { subject, expectFirst, expectLast } = entry;
  if (expectLast !== undefined) return { filter: expectLast.filter ?? subject, seq: expectLast.seq };
  if (expectFirst === undefined || expectFirst === false) return undefined;
  return { filter: expectFirst === true ? subject : expectFirst.filter, seq: 0 };
}

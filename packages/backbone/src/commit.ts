// What an append puts on the wire, and what JetStream's answers to it mean. Queueing and grouping is append.ts's work.

import { OutcryError } from "@outcry/protocol";
import { randomBytes } from "node:crypto";
import type { Backbone } from "./connect.js";
import { encodeHeaderLines } from "./headers.js";
import { JS, refusal } from "./jetstream.js";
import type { ApiError } from "./jetstream.js";
import { subjectMatches } from "./overlap.js";
import type { Placed } from "./overlap.js";
import { getBySeq, getLast } from "./read.js";
import { NobodyAnswersError } from "./requests.js";

const IN_FLIGHT_WAIT_MS = 10; // until the write that an in-flight conflict names is visible
const IN_FLIGHT_TRIES = 50;

export type Appended =
  | { readonly kind: "appended"; readonly seq: number }
  /** The message id is in the duplicate window: stored before, at `seq`. */
  | { readonly kind: "duplicate"; readonly seq: number }
  /** The expectation failed: something else is there. `lastSeq` is its last sequence. */
  | { readonly kind: "exists"; readonly lastSeq: number };

/** One waiting append. */
export interface Queued extends Placed {
  readonly data: Uint8Array;
  /** All but the batch's own. */
  readonly headerLines: string;
  readonly resolve: (outcome: Appended) => void;
  readonly reject: (error: OutcryError) => void;
}

export interface CommitDeps {
  readonly backbone: Backbone;
  readonly stream: string;
  readonly timeoutMs: number;
}

/** JetStream's PubAck. */
interface PubAck {
  readonly stream: string;
  readonly seq: number;
  readonly duplicate?: boolean;
  /** Of an atomic batch; `seq` is then the last one's. */
  readonly count?: number;
  readonly error?: ApiError;
}

/** One append of its own, settled in any case. */
export async function sendSingle(deps: CommitDeps, entry: Queued): Promise<void> {
  try {
    entry.resolve(await appendAlone(deps, entry));
  } catch (error) {
    entry.reject(asOutcryError(error));
  }
}

async function appendAlone(deps: CommitDeps, entry: Queued): Promise<Appended> {
  for (let tries = IN_FLIGHT_TRIES; ; tries--) {
    const ack = await publish(deps, entry);
    if (ack.error === undefined) return { kind: ack.duplicate === true ? "duplicate" : "appended", seq: ack.seq };
    if (ack.error.err_code === JS.wrongLastSequence) return { kind: "exists", lastSeq: namedSequence(ack.error) };
    if (ack.error.err_code !== JS.wrongLastSequenceInFlight || tries === 0)
      throw refusal(ack.error, `appending ${entry.subject}`);
    await new Promise((resolve) => setTimeout(resolve, IN_FLIGHT_WAIT_MS));
    // Refused, so nothing of ours is stored; the other write will be, or it failed and ours may try again.
    const there = await getLast(deps.backbone, deps.stream, entry.expect?.filter ?? entry.subject);
    if (there !== undefined && there.seq !== entry.expect?.seq) return { kind: "exists", lastSeq: there.seq };
  }
}

export type BatchAnswer =
  | { readonly kind: "settled" }
  /** Some failed their expectation and are settled; the rest was not stored. */
  | { readonly kind: "conflict"; readonly rest: readonly Queued[] }
  /** Nothing was stored, for a reason that does not name an entry. */
  | { readonly kind: "rejected" };

/** All or nothing: the last message commits, and its PubAck speaks for the batch. */
export async function commitBatch(deps: CommitDeps, group: readonly Queued[]): Promise<BatchAnswer> {
  try {
    const ack = await publishBatch(deps, group);
    if (ack.error !== undefined) return await refusedBatch(deps, group, ack.error);
    if (ack.count !== group.length)
      throw new OutcryError("internal", `nats: a batch of ${group.length} stored ${ack.count}`);
    const first = ack.seq - group.length + 1;
    for (const [index, entry] of group.entries()) entry.resolve({ kind: "appended", seq: first + index });
    return { kind: "settled" };
  } catch (error) {
    for (const entry of group) entry.reject(asOutcryError(error));
    return { kind: "settled" };
  }
}

function publishBatch(deps: CommitDeps, group: readonly Queued[]): Promise<PubAck> {
  const id = randomBytes(12).toString("hex"); // unique per batch, at most 64 characters
  const place = (index: number) => `Nats-Batch-Id: ${id}\r\nNats-Batch-Sequence: ${index + 1}\r\n`;
  for (const [index, entry] of group.slice(0, -1).entries()) {
    deps.backbone.publish(entry.subject, entry.data, { headers: encodeHeaderLines(entry.headerLines + place(index)) });
  }
  return publish(deps, group.at(-1)!, `${place(group.length - 1)}Nats-Batch-Commit: 1\r\n`);
}

async function refusedBatch(deps: CommitDeps, group: readonly Queued[], error: ApiError): Promise<BatchAnswer> {
  if (error.err_code === JS.wrongLastSequence) {
    const failed = await failedExpectations(deps, group, namedSequence(error));
    for (const [entry, lastSeq] of failed) entry.resolve({ kind: "exists", lastSeq });
    return failed.size === 0
      ? { kind: "rejected" }
      : { kind: "conflict", rest: group.filter((entry) => !failed.has(entry)) };
  }
  const why = refusal(error, `appending ${group.length} messages to ${deps.stream}`);
  if (why.temporary) throw why; // full, no leader: no part of it would do better
  return { kind: "rejected" };
}

/** The refusal names a stored sequence; whose expectation covers that message's subject, and expected another one, has failed. */
async function failedExpectations(
  deps: CommitDeps,
  group: readonly Queued[],
  seq: number,
): Promise<Map<Queued, number>> {
  const stored = seq === 0 ? undefined : await getBySeq(deps.backbone, deps.stream, seq);
  const failed = new Map<Queued, number>();
  if (stored === undefined) return failed;
  for (const entry of group) {
    const expect = entry.expect;
    if (expect !== undefined && expect.seq !== seq && subjectMatches(expect.filter, stored.subject))
      failed.set(entry, seq);
  }
  return failed;
}

async function publish(deps: CommitDeps, entry: Queued, batchLines = ""): Promise<PubAck> {
  const { backbone, stream, timeoutMs } = deps;
  const headers = encodeHeaderLines(entry.headerLines + batchLines);
  const reply = await backbone.request(entry.subject, entry.data, { headers, timeoutMs }).catch((error: unknown) => {
    if (!(error instanceof NobodyAnswersError)) throw error;
    const detail = `nats: no stream covers ${entry.subject}: ${stream} is missing, or JetStream is starting`;
    throw new OutcryError("dependency_unavailable", detail, { cause: error });
  });
  const ack = JSON.parse(Buffer.from(reply.data).toString()) as PubAck;
  if (ack.error === undefined && ack.stream !== stream) {
    throw new OutcryError("internal", `nats: ${entry.subject} is covered by stream ${ack.stream}, not ${stream}`);
  }
  return ack;
}

/** `wrong last sequence: 17` → 17. */
const namedSequence = (error: ApiError): number => Number(/\d+$/.exec(error.description)?.[0] ?? 0);

const asOutcryError = (error: unknown): OutcryError =>
  error instanceof OutcryError ? error : new OutcryError("internal", `nats: ${String(error)}`, { cause: error });

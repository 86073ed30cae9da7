// Reading a stream by Direct Get (ADR-31): single messages, pages, and whole ranges. No consumer is made.
// On R3 any replica answers, also a stale one: completeness up to a head must be proved by the caller (DESIGN "Live").

import { OutcryError } from "@outcry/protocol";
import type { Backbone } from "./connect.js";
import type { Incoming } from "./headers.js";
import { JS, askJetStream, refusal } from "./jetstream.js";
import { storedFromHeaders } from "./stored.js";
import type { Stored } from "./stored.js";

const PAGE_MESSAGES = 1_000;
const PAGE_BYTES = 4 * 1024 * 1024; // half of a client's default share of the server's pending buffer
const NOTHING = 404;
const END_OF_PAGE = 204;

/** The newest message on `subject`, which may hold wildcards. */
export function getLast(backbone: Backbone, stream: string, subject: string): Promise<Stored | undefined> {
  return getOne(backbone, stream, { last_by_subj: subject });
}

export function getBySeq(backbone: Backbone, stream: string, seq: number): Promise<Stored | undefined> {
  return getOne(backbone, stream, { seq });
}

async function getOne(backbone: Backbone, stream: string, query: object): Promise<Stored | undefined> {
  const reply = await backbone.request(directGet(backbone, stream), encodeQuery(query));
  return reply.headers.status === NOTHING ? undefined : readable(reply, stream);
}

export interface PageQuery {
  /** First sequence of interest. */
  readonly seq: number;
  /** Subject, wildcards allowed; default: everything. */
  readonly filter?: string;
  /** Instead of all: the last message of each subject that matches one of these. `seq` and `batch` then say nothing. */
  readonly lastOf?: readonly string[];
  readonly batch?: number;
  readonly maxBytes?: number;
}

export interface Page {
  /** Ascending. */
  readonly messages: readonly Stored[];
  /** Matching messages behind this page, as the answering replica knows them; 0 = the end. */
  readonly pending: number;
}

/** One page in one round trip. */
export function readBatch(backbone: Backbone, stream: string, query: PageQuery): Promise<Page> {
  const { seq, filter, lastOf, batch = PAGE_MESSAGES, maxBytes = PAGE_BYTES } = query;
  const body =
    lastOf === undefined
      ? {
          seq: Math.max(1, seq),
          batch,
          max_bytes: maxBytes,
          ...(filter === undefined ? {} : { next_by_subj: filter }),
        }
      : { multi_last: lastOf };
  const messages: Stored[] = [];
  return new Promise((resolve, reject) => {
    const onReply = (reply: Incoming): boolean => {
      const status = reply.headers.status;
      if (status === NOTHING) resolve({ messages, pending: 0 });
      else if (status === END_OF_PAGE) resolve({ messages, pending: Number(reply.headers.last("Nats-Num-Pending")) });
      else {
        const stored = storedFromHeaders(reply);
        // Each message names the one before it in this page: a hole means that replies were lost.
        const before = Number(reply.headers.last("Nats-Last-Sequence"));
        const expected = messages.at(-1)?.seq;
        if (stored === undefined) reject(unreadable(stream, reply));
        else if (expected !== undefined && before !== expected) reject(broken(stream, expected, before));
        else return messages.push(stored) === 0;
      }
      return true;
    };
    backbone.requestMany(directGet(backbone, stream), encodeQuery(body), { onReply, onFail: reject });
  });
}

export interface RangeQuery {
  readonly filter?: string;
  /** Default 1. */
  readonly fromSeq?: number;
  /** Last sequence of interest. Default: what is there when the reading gets to the end. */
  readonly upToSeq?: number;
  /** Messages of one page, for a range that is known to be short. */
  readonly batch?: number;
}

/** Every stored message of the range in order, page by page. Throws a temporary error when NATS goes away meanwhile. */
export async function* readAll(backbone: Backbone, stream: string, query: RangeQuery = {}): AsyncGenerator<Stored> {
  const { filter, fromSeq = 1, upToSeq = Number.POSITIVE_INFINITY, batch } = query;
  const shape = { ...(filter === undefined ? {} : { filter }), ...(batch === undefined ? {} : { batch }) };
  let seq = fromSeq;
  while (seq <= upToSeq) {
    const page = await readBatch(backbone, stream, { seq, ...shape });
    for (const stored of page.messages) {
      if (stored.seq > upToSeq) return;
      yield stored;
    }
    const last = page.messages.at(-1);
    if (last === undefined || page.pending === 0) return;
    seq = last.seq + 1;
  }
}

export interface StreamHead {
  readonly firstSeq: number;
  /** 0 = nothing was ever stored. */
  readonly lastSeq: number;
  /** Epoch ms; 0 = never. */
  readonly lastTime: number;
  readonly messages: number;
  readonly bytes: number;
  readonly bytesMax: number;
  /** RFC 3339 with nanoseconds: another value means another stream of the same name. */
  readonly created: string;
  /** Random at creation (metadata `outcry_epoch`): sequences mean nothing under another epoch. */
  readonly epoch: string | undefined;
  /** More than one: any of them answers reads, also one that is behind. */
  readonly replicas: number;
}

export interface StreamInfo {
  readonly config: Record<string, unknown> & {
    max_bytes: number;
    num_replicas: number;
    metadata?: Record<string, string>;
  };
  readonly created: string;
  readonly state: { messages: number; bytes: number; first_seq: number; last_seq: number; last_ts: string };
}

export async function streamHead(backbone: Backbone, stream: string, timeoutMs?: number): Promise<StreamHead> {
  const info = await streamInfo(backbone, stream, timeoutMs);
  if (info === undefined) throw new OutcryError("dependency_unavailable", `nats: there is no stream ${stream}`);
  const { state, config, created } = info;
  return {
    firstSeq: state.first_seq,
    lastSeq: state.last_seq,
    lastTime: Math.max(0, Date.parse(state.last_ts)), // the server says year 1 for never
    messages: state.messages,
    bytes: state.bytes,
    bytesMax: config.max_bytes,
    created,
    epoch: config.metadata?.outcry_epoch,
    replicas: config.num_replicas,
  };
}

/** Undefined when there is no such stream. */
export async function streamInfo(
  backbone: Backbone,
  stream: string,
  timeoutMs?: number,
): Promise<StreamInfo | undefined> {
  const answer = await askJetStream<StreamInfo>(backbone, `STREAM.INFO.${stream}`, undefined, timeoutMs);
  if (answer.kind === "ok") return answer.value;
  if (answer.error.err_code === JS.streamNotFound) return undefined;
  throw refusal(answer.error, `reading the state of ${stream}`);
}

const directGet = ({ api }: Backbone, stream: string): string => `${api}.DIRECT.GET.${stream}`;
const encodeQuery = (query: object): Uint8Array => Buffer.from(JSON.stringify(query));

function readable(reply: Incoming, stream: string): Stored {
  const stored = storedFromHeaders(reply);
  if (stored === undefined) throw unreadable(stream, reply);
  return stored;
}

function unreadable(stream: string, reply: Incoming): OutcryError {
  const { status, description } = reply.headers;
  return new OutcryError(
    status >= 500 ? "dependency_unavailable" : "internal",
    `nats: reading ${stream}: ${status} ${description}`,
  );
}

const broken = (stream: string, expected: number, before: number): OutcryError =>
  new OutcryError(
    "dependency_unavailable",
    `nats: a page of ${stream} has a hole: ${before} instead of ${expected} came before`,
  );

// One page of a backend's own events, oldest first. The record is read directly; what cannot be given any more is said
// (cursor_gone), and a head cursor is given only where the stream's leader has nothing behind it.

import { type Backbone, nextSeqOnLeader, readBatch, streamHead, type StreamHead } from "@outcry/backbone";
import { type Event, type EventPage, LIMITS, OutcryError, publicEvent, STREAMS, TOPICS } from "@outcry/protocol";
import { type CursorCodec, cursorScope, type Position } from "@outcry/ws-gateway";

export interface FeedDeps {
  readonly backbone: Backbone;
  /** Of the gateway's channel `backend:<id>`, too: one cursor is good in both places. */
  readonly cursors: CursorCodec;
}

export interface FeedQuery {
  readonly backendId: string;
  readonly after?: string | undefined;
  readonly limit: number;
  /** Empty: every type. */
  readonly types: readonly string[];
}

export async function readFeed(deps: FeedDeps, query: FeedQuery): Promise<EventPage> {
  const { backbone, cursors } = deps;
  const filter = TOPICS.backend(query.backendId);
  const before = await streamHead(backbone, STREAMS.events);
  const scope = cursorScope(filter, epochOf(before));
  const start = query.after === undefined ? undefined : positionOf(cursors.read(scope, query.after));
  const scan = await scanPage(backbone, filter, start?.seq ?? 0, query);
  // Looked at again behind the reading: a start that was trimmed meanwhile would have been jumped over silently.
  const after = await streamHead(backbone, STREAMS.events);
  if (start !== undefined) requireKept(start, after);
  if (epochOf(after) !== epochOf(before)) throw gone("the event log was made anew");
  const through = scan.ended ? await provenHead(backbone, filter, scan.through, after) : scan.through;
  const position = through ?? { seq: 0, time: 0 };
  return {
    data: scan.found.map(({ event }) => event),
    cursors: scan.found.map(({ place }) => cursors.write(scope, place)),
    next_cursor: cursors.write(scope, position),
    has_more: !scan.ended,
  };
}

interface Scan {
  readonly found: { event: Event; place: Position }[];
  /** The last event looked at; undefined where there was none behind the very beginning. */
  readonly through: Position | undefined;
  readonly ended: boolean;
}

/** Reads on until the page is full, the log ends, or enough was looked at that the filter left out. */
async function scanPage(backbone: Backbone, filter: string, afterSeq: number, query: FeedQuery): Promise<Scan> {
  const found: Scan["found"] = [];
  let through: Position | undefined = afterSeq === 0 ? undefined : { seq: afterSeq, time: 0 };
  let looked = 0;
  while (found.length < query.limit && looked < LIMITS.feedScanMax) {
    const { messages, pending } = await readBatch(backbone, STREAMS.events, {
      seq: (through?.seq ?? 0) + 1,
      filter,
      batch: LIMITS.feedPageMax,
      maxBytes: LIMITS.feedPageBytesMax,
    });
    for (const [index, stored] of messages.entries()) {
      const event = publicEvent(stored.data);
      looked++;
      const place = { seq: stored.seq, time: stored.time };
      through = place;
      if (query.types.length === 0 || query.types.includes(event.type)) found.push({ event, place });
      if (found.length === query.limit)
        return { found, through, ended: index === messages.length - 1 && pending === 0 };
    }
    if (pending === 0 || messages.length === 0) return { found, through, ended: true };
  }
  return { found, through, ended: false };
}

/** Behind the last event nothing of this backend: the cursor moves on with everyone's events, so that it does not age. */
async function provenHead(
  backbone: Backbone,
  filter: string,
  through: Position | undefined,
  head: StreamHead,
): Promise<Position | undefined> {
  if (head.lastSeq <= (through?.seq ?? 0)) return through;
  const next = await nextSeqOnLeader(backbone, STREAMS.events, { seq: (through?.seq ?? 0) + 1, filter });
  return next === undefined ? { seq: head.lastSeq, time: head.lastTime } : through;
}

const epochOf = ({ epoch, created }: StreamHead): string => epoch ?? created;

function positionOf(read: ReturnType<CursorCodec["read"]>): Position {
  switch (read.kind) {
    case "ok":
      return read.position;
    case "other_epoch":
      throw gone("the event log was made anew");
    case "invalid": {
      const detail = "is no next_cursor of this feed";
      throw new OutcryError("cursor_invalid", `The cursor ${detail}.`, { pointers: [{ pointer: "/after", detail }] });
    }
    default:
      return read satisfies never;
  }
}

function requireKept({ seq }: Position, head: StreamHead): void {
  if (seq + 1 < head.firstSeq) throw gone("events behind it were removed after their retention");
  if (seq > head.lastSeq) throw gone("the event log was restored to an earlier state");
}

const gone = (why: string) => new OutcryError("cursor_gone", `The cursor leads nowhere: ${why}.`);

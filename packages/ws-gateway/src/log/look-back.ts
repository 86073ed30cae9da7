// Where a replay begins that shows the newest events of a channel, or those since a moment. The ring is asked first; in the record the
// windows before it are read forward, each twice as wide as the last: Direct Get (ADR-31) does not read backwards.

import type { Position } from "../channels/cursor.js";
import type { GatewayLimits } from "../limits.js";
import type { EventSource, SourceMessage } from "./event-source.js";
import type { LiveLog } from "./live-log.js";

const FIRST_WINDOW = 256; // sequences; a lively channel has its newest events there

export interface LookBackDeps {
  readonly source: EventSource;
  readonly liveLog: LiveLog;
  readonly limits: GatewayLimits;
}

/** A channel as the record and the ring know it. */
export interface LookedFor {
  readonly filter: string;
  /** Its events in the ring, ascending. */
  readonly inRing: () => readonly number[];
  /** Which of its events count. */
  readonly counts: (event: SourceMessage) => boolean;
}

export interface LookedBack {
  /** What was asked for follows behind it. */
  readonly position: Position;
  /** False when some of it is no longer kept. */
  readonly whole: boolean;
}

/** Behind which the newest `count` events follow, or as many as there are. */
export async function newestEvents(deps: LookBackDeps, wanted: LookedFor, count: number): Promise<LookedBack> {
  const { ring } = deps.liveLog;
  const { floor } = ring;
  let left = count;
  for (const seq of wanted.inRing().toReversed()) {
    const event = ring.at(seq);
    if (event !== undefined && wanted.counts(event) && --left === 0) return { position: before(event), whole: true };
  }
  return newestInRecord(deps, wanted, left, floor);
}

/** Behind which everything follows that was stored at or after `time`. */
export async function eventsSince({ source, liveLog, limits }: LookBackDeps, time: number): Promise<LookedBack> {
  const { firstSeq } = await source.head();
  let low = firstSeq;
  let high = liveLog.last + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const [next] = (await source.read({ seq: middle, batch: 1, bytesMax: limits.replayBytesMax })).messages;
    if (next === undefined || next.time >= time) high = middle;
    else low = next.seq + 1;
  }
  // What was trimmed may have been in time too, unless an older one is kept.
  return { position: { seq: low - 1, time: 0 }, whole: low > firstSeq || firstSeq <= 1 };
}

/** `end`: the last sequence that is of interest. */
async function newestInRecord(deps: LookBackDeps, wanted: LookedFor, count: number, end: number): Promise<LookedBack> {
  const { firstSeq } = await deps.source.head();
  let left = count;
  let through = end;
  for (let window = FIRST_WINDOW; through >= firstSeq; window *= 2) {
    const from = Math.max(firstSeq, through - window + 1);
    const found = await newestOfWindow(deps, wanted, left, { from, through });
    left -= found.length;
    if (left === 0) return { position: before(found[0]!), whole: true };
    through = from - 1;
  }
  return { position: { seq: firstSeq - 1, time: 0 }, whole: firstSeq <= 1 };
}

/** The last `count` of them, oldest first. */
async function newestOfWindow(
  { source, limits }: LookBackDeps,
  { filter, counts }: LookedFor,
  count: number,
  { from, through }: { from: number; through: number },
): Promise<SourceMessage[]> {
  const { replayMessages: batch, replayBytesMax: bytesMax } = limits;
  let newest: SourceMessage[] = [];
  for (let seq = from; seq <= through;) {
    const { messages, pending } = await source.read({ seq, filter, batch, bytesMax });
    const inside = messages.filter((message) => message.seq <= through);
    newest = [...newest, ...inside.filter(counts)].slice(-count);
    const last = inside.at(-1);
    if (last === undefined || inside.length < messages.length || pending === 0) break;
    seq = last.seq + 1;
  }
  return newest;
}

const before = ({ seq }: SourceMessage): Position => ({ seq: seq - 1, time: 0 });

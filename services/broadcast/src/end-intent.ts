// The end of an intent: one write, whoever races, an amendment included (ADR-12). It fixes the final delivery states and which quotes count.

import { type Appender, type Backbone, streamHead } from "@outcry/backbone";
import {
  type EndRecord,
  type IntentBook,
  type LoadedIntent,
  type QuoteOutcome,
  encodeRecord,
  foldIntent,
  packDeliveries,
  quoteOutcomes,
  readEnd,
  readTopic,
  storedQuotes,
} from "@outcry/delivery";
import type { DeliveryRow, DeliveryRows, Ending, RunKeeper, TimerClaim } from "@outcry/jobs";
import {
  type Clock,
  LIMITS,
  OutcryError,
  type Outcome,
  type PackedDelivery,
  STREAMS,
  SUBJECTS,
  atRevision,
  canMove,
  stateAtEnd,
} from "@outcry/protocol";
import type { KnownIntents } from "./known-intents.js";

const REPLICA_LAG_MS = 20; // a follower that answers Direct Get may lag behind the leader by about this
const AMENDED_MS = 200; // until the row of an amended intent has begun anew, with timers of its own

export interface EndDeps {
  backbone: Backbone;
  intents: Appender;
  book: IntentBook;
  rows: DeliveryRows;
  run: RunKeeper;
  ended: KnownIntents;
  clock: Clock;
}

export type EndResult = { kind: "ended" | "had_ended"; end: EndRecord };

export interface EndRequest {
  outcome: Outcome;
  by: string;
  reason?: string;
}

/** Writes the end, or returns the one that is already there. An amendment that comes first is ended as well. */
export async function endIntent(deps: EndDeps, intent: LoadedIntent, request: EndRequest): Promise<EndResult> {
  let newest: LoadedIntent | undefined = intent;
  for (let tries = 0; newest !== undefined && tries <= LIMITS.intentRevisionsMax; tries++) {
    const result = await endRevision(deps, newest, request);
    if (result.kind !== "amended") return result;
    if (tries > 0) await new Promise((resolve) => setTimeout(resolve, REPLICA_LAG_MS));
    newest = await deps.book.refresh(intent.id);
  }
  throw new OutcryError("timed_out", `${intent.id} was changed meanwhile`);
}

/** `amended`: a later revision stands, and nothing is ended. */
async function endRevision(
  deps: EndDeps,
  intent: LoadedIntent,
  request: EndRequest,
): Promise<EndResult | { kind: "amended" }> {
  const result = await writeEnd(deps, intent, request);
  if (result.kind !== "amended") deps.ended.add(intent.id);
  return result;
}

async function writeEnd(
  deps: EndDeps,
  intent: LoadedIntent,
  request: EndRequest,
): Promise<EndResult | { kind: "amended" }> {
  const earlier = await readEnd(deps.backbone, intent.id);
  if (earlier !== undefined) return { kind: "had_ended", end: earlier.end };

  const row = await beginEnding(deps, intent, request);
  if (row === "amended") return { kind: "amended" };
  if (row === undefined) return hadEnded(deps, intent);
  // Read after the row says "ending": a quote that a worker judged before that is at or below this sequence.
  const quotesThrough = (await streamHead(deps.backbone, STREAMS.quotes)).lastSeq;
  const end: EndRecord = {
    record_version: 1,
    outcome: row.ending.outcome,
    ...(row.ending.reason === undefined ? {} : { reason: row.ending.reason }),
    ...atRevision(intent.revision),
    quotes_through: quotesThrough,
    deliveries: packDeliveries(await finalDeliveries(deps, intent, row, quotesThrough)),
  };
  // Redis may have lost the row meanwhile: then a worker may have counted a quote behind that sequence.
  const { ending } = await deps.run.during(() => deps.rows.isEnding(intent.id));
  if (!ending) return writeEnd(deps, intent, request);
  const written = await deps.intents.append({
    subject: SUBJECTS.intentEnd(intent.id),
    data: encodeRecord(end),
    expectLast: { seq: intent.changedSeq, filter: SUBJECTS.intentChanges(intent.id) },
  });
  return written.kind === "appended" ? { kind: "ended", end } : hadEnded(deps, intent);
}

/** What was there before, or came in between: an end, else an amendment. */
async function hadEnded(deps: EndDeps, intent: LoadedIntent): Promise<EndResult | { kind: "amended" }> {
  const winner = await readEnd(deps.backbone, intent.id);
  if (winner !== undefined) return { kind: "had_ended", end: winner.end };
  const newest = await deps.book.refresh(intent.id);
  if (newest !== undefined && newest.revision > intent.revision) return { kind: "amended" };
  throw new OutcryError("timed_out", `${intent.id} was changed meanwhile`);
}

/** The first ending wins, also over a crash: whoever finishes it writes that outcome. Undefined: it was finished meanwhile. */
async function beginEnding(
  deps: EndDeps,
  intent: LoadedIntent,
  request: EndRequest,
): Promise<(DeliveryRow & { ending: Ending }) | "amended" | undefined> {
  const ending: Ending = { ...request, atMs: deps.clock.now() };
  const begin = () => deps.run.during(() => deps.rows.beginEnding(intent, ending));
  let begun = await begin();
  if (begun.kind === "unknown") {
    // Not dispatched yet: an ended row keeps the dispatcher from sending it.
    await deps.run.during(() =>
      deps.rows.open({
        intent,
        seq: intent.changedSeq,
        targets: intent.record.targets,
        deadlineMs: intent.deadlineMs,
        retryDueMs: intent.deadlineMs,
        attempted: false,
      }),
    );
    begun = await begin();
  }
  if (begun.kind === "superseded") return "amended";
  return begun.kind === "ending" ? begun.row : undefined;
}

/**
 * Deliveries that may still move get their last state: what the log says beyond the row (an outage of Redis holds rows back),
 * and "quoted" where a quote is stored in time and not refused already.
 */
async function finalDeliveries(
  deps: EndDeps,
  intent: LoadedIntent,
  row: DeliveryRow & { ending: Ending },
  quotesThrough: number,
): Promise<PackedDelivery[]> {
  const { targets } = intent.record;
  // An amendment that was not sent to anyone yet: what the row says is of the revision before.
  const deliveries: PackedDelivery[] =
    row.revision === intent.revision ? row.deliveries : targets.map(() => ({ state: "pending", attempts: 0 }));
  const decided = deliveries.every(({ state }) => !canMove(state, "quoted"));
  if (decided) return deliveries;
  const quoted = await quotedNodes(deps, intent, quotesThrough);
  const log = foldIntent(targets, await readTopic(deps.backbone, intent.topic));
  return deliveries.map(({ state, attempts }, index) => {
    const node = targets[index]!;
    const told = log.revision === intent.revision ? log.deliveries.get(node)!.state : state;
    const known = canMove(state, told) ? told : state;
    const last = quoted.has(node) && canMove(known, "quoted") ? "quoted" : stateAtEnd(known, row.ending.outcome);
    return { state: last, attempts };
  });
}

async function quotedNodes(deps: EndDeps, intent: LoadedIntent, quotesThrough: number): Promise<Set<string>> {
  const quotes = await storedQuotes(deps.backbone, intent.id);
  const outcomes =
    quotes.length === 0 ? new Map<string, QuoteOutcome>() : await quoteOutcomes(deps.backbone, intent, quotes);
  const counting = quotes.filter(
    ({ quoteId, seq, storedMs, quote }) =>
      seq <= quotesThrough &&
      storedMs <= intent.deadlineMs &&
      quote?.request_digest === intent.record.request_digest &&
      outcomes.get(quoteId)?.kind !== "refused",
  );
  return new Set(counting.map(({ nodeId }) => nodeId));
}

/** Timers `deadline` and `end`. Returns when to look again, or nothing once the end is recorded. */
export async function endWhenDue(deps: EndDeps, claim: TimerClaim): Promise<{ againAtMs: number } | undefined> {
  const found = await deps.run.during(() => deps.rows.read(claim.intentId));
  if (found.kind !== "open") return undefined;
  const { row } = found;
  const known = await deps.book.get(claim.intentId);
  const intent = known !== undefined && known.revision < row.revision ? await deps.book.refresh(known.id) : known;
  if (intent === undefined) return undefined;
  if (intent.revision > row.revision) return { againAtMs: deps.clock.now() + AMENDED_MS };
  // A moment of grace: a quote stored just before the deadline is still on its way to its answer.
  const expiresAtMs = intent.deadlineMs + LIMITS.endGraceMs;
  if (row.ending === undefined && row.open > 0 && deps.clock.now() < expiresAtMs) {
    return claim.kind === "deadline" ? { againAtMs: expiresAtMs } : undefined;
  }
  const outcome = row.open === 0 ? "closed" : "expired";
  const by = outcome === "closed" ? "all_answered" : "deadline";
  const { kind } = await endRevision(deps, intent, row.ending ?? { outcome, by });
  if (kind === "amended") return { againAtMs: deps.clock.now() + AMENDED_MS };
  // A row that a rebuild made while the end was being recorded.
  if (kind === "had_ended") await deps.run.during(() => deps.rows.finishEnd(intent.id));
  return undefined;
}

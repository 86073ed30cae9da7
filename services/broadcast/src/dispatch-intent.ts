// Takes a recorded intent, or an amendment of it, to its nodes: INTENT_CREATED or INTENT_AMENDED, delivery rows, fan-out,
// INTENT_BROADCASTED. Each step may be repeated after a crash between any two of them; none is done twice in effect.

import type { DeliveryRows, RunKeeper } from "@outcry/jobs";
import { type EventLog, type IntentBook, type LoadedIntent, readEnd, revisionsOf } from "@outcry/delivery";
import type { Backbone, Stored } from "@outcry/backbone";
import { type Clock, atRevision, buildEvent, revisionKey } from "@outcry/protocol";
import type { KnownIntents } from "./known-intents.js";
import type { SentAttempts } from "./sent-attempts.js";
import { tellAmendments } from "./tell-amendments.js";

// A dispatch within this meets no end but one that it can see in Redis; a later one reads the record first.
const FRESH_MS = 1_000;

export interface DispatchDeps {
  backbone: Backbone;
  book: IntentBook;
  events: EventLog;
  rows: DeliveryRows;
  run: RunKeeper;
  clock: Clock;
  ackTimeoutMs: number;
  attempts: SentAttempts;
  broadcasted: KnownIntents;
  onDispatched?: (intent: LoadedIntent, tookMs: number) => void;
}

export async function dispatchIntent(deps: DispatchDeps, stored: Stored, repeated: boolean): Promise<void> {
  const intent = deps.book.adopt(stored);
  await appendCreated(deps, intent);
  if (intent.revision > 0) return; // amended before it was sent: the amendment is on its way to this place
  await dispatch(deps, intent, stored.seq, repeated);
}

/** What was sent before it is taken back by it: its deliveries begin anew, at the same nodes. */
export async function dispatchAmendment(deps: DispatchDeps, stored: Stored): Promise<void> {
  const intent = await deps.book.adoptRevision(stored);
  await appendCreated(deps, intent);
  await tellAmendments(deps, intent);
  // The newest alone is sent, whichever message brought us here.
  await dispatch(deps, intent, intent.changedSeq, true);
}

/** `seq`: where the revision is recorded. */
async function dispatch(deps: DispatchDeps, intent: LoadedIntent, seq: number, repeated: boolean): Promise<void> {
  const startedMs = deps.clock.now();
  if (await hasEnded(deps, intent, repeated)) return;

  const inTime = deps.clock.now() < intent.deadlineMs;
  const opened = await deps.run.during(() =>
    deps.rows.open({
      intent,
      seq,
      targets: intent.record.targets,
      deadlineMs: intent.deadlineMs,
      retryDueMs: deps.clock.now() + deps.ackTimeoutMs,
      attempted: inTime,
    }),
  );
  if (opened === "unsure" && (await readEnd(deps.backbone, intent.id)) !== undefined)
    return deps.run.during(() => deps.rows.finishEnd(intent.id));
  if (opened === "ending" || opened === "superseded" || opened === "ended") return; // what ends it, or amends it, tells the rest
  if (!inTime) return; // the deadline's timer writes the end

  const nodes = opened === "exists" ? await stillPending(deps, intent) : intent.record.targets;
  if (nodes === undefined) return; // ending: what is left to tell is told with the end
  await deps.attempts.send(intent, 1, nodes);
  await appendBroadcasted(deps, intent, repeated || opened === "exists" || !isFresh(deps, intent));
  deps.broadcasted.add(intent.record.request_digest);
  deps.onDispatched?.(intent, deps.clock.now() - startedMs);
}

/** Nothing precedes it on its topic: the subject itself excludes a second one. */
export async function appendCreated(deps: Pick<DispatchDeps, "events" | "clock">, newest: LoadedIntent): Promise<void> {
  const [intent] = revisionsOf(newest); // as it was posted, also when it is told behind an amendment
  const { payload } = intent.intent;
  const event = buildEvent(
    "INTENT_CREATED",
    {
      intent_id: intent.id,
      request_digest: intent.record.request_digest,
      targets: intent.record.targets.length,
      quote_deadline: payload.quote_deadline,
      line_items: payload.line_items.length,
    },
    { topic: intent.topic, traceId: intent.intent.trace_id, key: [intent.id], clock: deps.clock },
  );
  await deps.events.append(event, { first: true });
}

async function hasEnded(deps: DispatchDeps, intent: LoadedIntent, repeated: boolean): Promise<boolean> {
  // While it is fresh the tombstone in Redis tells, without a read of the record.
  if (!repeated && isFresh(deps, intent)) return false;
  return (await readEnd(deps.backbone, intent.id)) !== undefined;
}

const isFresh = (deps: DispatchDeps, intent: LoadedIntent): boolean => deps.clock.now() - intent.storedMs < FRESH_MS;

/** Undefined when the intent ends just now, or is amended. */
async function stillPending(deps: DispatchDeps, intent: LoadedIntent): Promise<string[] | undefined> {
  const found = await deps.run.during(() => deps.rows.pending(intent.id));
  if (found.kind !== "open" || found.ending !== undefined || found.revision !== intent.revision) return undefined;
  return found.pending.map(({ node }) => node);
}

/** `late`: it may meet the end, or have been told before. */
export async function appendBroadcasted(
  deps: Pick<DispatchDeps, "events" | "clock">,
  intent: LoadedIntent,
  late: boolean,
): Promise<void> {
  const targets = intent.record.targets.length;
  const event = buildEvent(
    "INTENT_BROADCASTED",
    { intent_id: intent.id, ...atRevision(intent.revision), attempt: 1, targets, dispatched: targets },
    {
      topic: intent.topic,
      traceId: intent.intent.trace_id,
      key: [intent.id, ...revisionKey(intent.revision)],
      clock: deps.clock,
    },
  );
  await deps.events.append(event, late ? { beforeEndOf: intent.id } : {});
}

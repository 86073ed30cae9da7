// Takes a recorded intent to its nodes: INTENT_CREATED, delivery rows, fan-out, INTENT_BROADCASTED. Each step may be
// repeated after a crash between any two of them; none is done twice in effect.

import type { DeliveryRows, RunKeeper } from "@outcry/jobs";
import { type EventLog, type IntentBook, type LoadedIntent, readEnd } from "@outcry/delivery";
import type { Backbone, Stored } from "@outcry/backbone";
import { type Clock, buildEvent } from "@outcry/protocol";
import { fanOut } from "./fan-out.js";

// An end can only be in the record before the dispatch when the dispatch comes late.
const FRESH_MS = 1_000;

export interface DispatchDeps {
  backbone: Backbone;
  book: IntentBook;
  events: EventLog;
  rows: DeliveryRows;
  run: RunKeeper;
  clock: Clock;
  ackTimeoutMs: number;
  onDispatched?: (intent: LoadedIntent, tookMs: number) => void;
}

export async function dispatchIntent(deps: DispatchDeps, stored: Stored, repeated: boolean): Promise<void> {
  const startedMs = deps.clock.now();
  const intent = deps.book.adopt(stored);
  await appendCreated(deps, intent);
  if (await hasEnded(deps, intent, repeated)) return;

  const opened = await deps.run.during(() =>
    deps.rows.open({
      intentId: intent.id,
      targets: intent.record.targets,
      deadlineMs: intent.deadlineMs,
      retryDueMs: deps.clock.now() + deps.ackTimeoutMs,
    }),
  );
  if (opened === "ended" || deps.clock.now() >= intent.deadlineMs) return; // the deadline's timer writes the end

  const nodes = opened === "opened" ? intent.record.targets : await stillPending(deps, intent);
  await fanOut(deps, intent, 1, nodes);
  await appendBroadcasted(deps, intent, repeated || opened === "exists");
  deps.onDispatched?.(intent, deps.clock.now() - startedMs);
}

/** Nothing precedes it on its topic: the subject itself excludes a second one. */
export async function appendCreated(deps: Pick<DispatchDeps, "events" | "clock">, intent: LoadedIntent): Promise<void> {
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
  if (!repeated && deps.clock.now() - intent.storedMs < FRESH_MS) return false;
  return (await readEnd(deps.backbone, intent.id)) !== undefined;
}

async function stillPending(deps: DispatchDeps, intent: LoadedIntent): Promise<string[]> {
  const found = await deps.run.during(() => deps.rows.pending(intent.id));
  return found.kind === "open" ? found.pending.map(({ node }) => node) : [];
}

async function appendBroadcasted(deps: DispatchDeps, intent: LoadedIntent, repeated: boolean): Promise<void> {
  const targets = intent.record.targets.length;
  const event = buildEvent(
    "INTENT_BROADCASTED",
    { intent_id: intent.id, attempt: 1, targets, dispatched: targets },
    { topic: intent.topic, traceId: intent.intent.trace_id, key: [intent.id], clock: deps.clock },
  );
  // Late, after a crash or an outage, it may meet the end.
  await deps.events.append(event, repeated ? { beforeEndOf: intent.id } : {});
}

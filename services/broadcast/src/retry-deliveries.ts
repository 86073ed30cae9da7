// Sends an intent again to those who have not answered, up to the threshold; behind it lies the dead letter.
// An attempt during an outage proves nothing about a node: it is repeated, not counted.

import type { Backbone } from "@outcry/backbone";
import { type EventLog, type IntentBook, type LoadedIntent, foldIntent, readTopic } from "@outcry/delivery";
import type { DeliveryRows, RunKeeper, TimerClaim, TimerContext } from "@outcry/jobs";
import { type Clock, LIMITS, buildEvent } from "@outcry/protocol";
import { deadLetter, type DeadLetterDeps } from "./dead-letter.js";
import { fanOut } from "./fan-out.js";

export interface RetryDeps extends DeadLetterDeps {
  backbone: Backbone;
  book: IntentBook;
  events: EventLog;
  rows: DeliveryRows;
  run: RunKeeper;
  clock: Clock;
  random: () => number;
  ackTimeoutMs: number;
  attemptsMax: number;
  /** When the last outage of a dependency ended; 0 = there was none. */
  lastOutageEndMs: () => number;
  onRetried?: (nodes: number) => void;
}

type Again = { againAtMs: number } | undefined;

/** Timer `retry`: the attempt after the latest is due. Returns when to look again, or nothing when this timer is done. */
export async function retryDeliveries(deps: RetryDeps, claim: TimerClaim, context: TimerContext): Promise<Again> {
  const found = await deps.run.during(() => deps.rows.pending(claim.intentId));
  if (found.kind !== "open" || found.ending !== undefined || found.pending.length === 0) return undefined;
  const nowMs = deps.clock.now();
  if (nowMs >= found.deadlineMs) return undefined;
  const intent = await deps.book.get(claim.intentId);
  if (intent === undefined) return undefined;

  const settledAtMs = deps.lastOutageEndMs() + LIMITS.outageGraceMs;
  if (nowMs < settledAtMs + deps.ackTimeoutMs)
    return repeatAttempt(deps, intent, found.attempt, found.pending, settledAtMs);
  if (found.attempt >= deps.attemptsMax) return giveUp(deps, intent, found.attempt, context);
  return nextAttempt(deps, intent, claim.attempt ?? found.attempt + 1, found.pending, context);
}

type Pending = { index: number; node: string }[];

async function repeatAttempt(
  deps: RetryDeps,
  intent: LoadedIntent,
  attempt: number,
  pending: Pending,
  settledAtMs: number,
): Promise<Again> {
  await fanOut(
    deps,
    intent,
    attempt,
    pending.map(({ node }) => node),
  );
  return { againAtMs: Math.max(deps.clock.now(), settledAtMs) + deps.ackTimeoutMs };
}

async function nextAttempt(
  deps: RetryDeps,
  intent: LoadedIntent,
  attempt: number,
  pending: Pending,
  context: TimerContext,
): Promise<Again> {
  const event = buildEvent(
    "DELIVERY_RETRYING",
    { intent_id: intent.id, attempt, node_ids: pending.map(({ node }) => node) },
    { topic: intent.topic, traceId: intent.intent.trace_id, key: [intent.id, String(attempt)], clock: deps.clock },
  );
  // Told before it is sent: a rebuild that reads the log never counts too few attempts.
  await deps.events.append(event, { repeated: context.isRedelivered });
  const nextDueMs = deps.clock.now() + deps.ackTimeoutMs + backoffMs(attempt, deps.random);
  const begun = await deps.run.during(() =>
    deps.rows.beginAttempt(
      intent.id,
      attempt,
      pending.map(({ index }) => index),
      nextDueMs,
    ),
  );
  if (begun.kind !== "begun") return undefined;
  const nodes = begun.indexes.map((index) => intent.record.targets[index]!);
  await fanOut(deps, intent, attempt, nodes);
  deps.onRetried?.(nodes.length);
  return undefined;
}

/** Full jitter: nodes that were late together are not asked again together. */
export const backoffMs = (attempt: number, random: () => number): number =>
  Math.floor(random() * LIMITS.retryBaseMs * 2 ** attempt);

async function giveUp(deps: RetryDeps, intent: LoadedIntent, attempts: number, context: TimerContext): Promise<Again> {
  await recordWhatTheLogKnows(deps, intent);
  const found = await deps.run.during(() => deps.rows.pending(intent.id));
  if (found.kind !== "open" || found.pending.length === 0) return undefined;
  await deadLetter(deps, intent, {
    nodes: found.pending,
    attempts,
    cause: "ack_timeout",
    repeated: context.isRedelivered,
  });
  return undefined;
}

/** Rows follow the log. After an outage of Redis they may lag, and a node that answered must not be called dead. */
async function recordWhatTheLogKnows(deps: RetryDeps, intent: LoadedIntent): Promise<void> {
  const folded = foldIntent(intent.record.targets, await readTopic(deps.backbone, intent.topic));
  const updates = intent.record.targets.flatMap((node, index) => {
    const { state } = folded.deliveries.get(node)!;
    return state === "pending" ? [] : [{ index, to: state }];
  });
  if (updates.length > 0) await deps.run.during(() => deps.rows.record([{ intentId: intent.id, updates }]));
}

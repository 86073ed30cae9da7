// Sends an intent again to those who have not answered, up to the threshold; behind it lies the dead letter.
// An attempt before or within an outage proves nothing about a node: it is repeated, not counted.

import type { Backbone } from "@outcry/backbone";
import { type EventLog, type IntentBook, type LoadedIntent, foldIntent, readTopic } from "@outcry/delivery";
import type { DeliveryRows, RunKeeper, TimerClaim } from "@outcry/jobs";
import { type Clock, type Event, LIMITS, buildEvent, parseRfc3339 } from "@outcry/protocol";
import { deadLetter, type DeadLetterDeps, writeLettersOfRow } from "./dead-letter.js";
import { fanOut } from "./fan-out.js";

const REPEATS_KEPT_MAX = 100_000; // open intents of a long outage

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
  /** When the last outage that may have swallowed this intent's answers ended; 0 = there was none. */
  lastOutageEndMs: (intent: LoadedIntent) => number;
  repeats: RepeatedAttempts;
  onRetried?: (nodes: number) => void;
}

/** When this process last repeated an attempt. What it forgets, or another process did, is repeated once more. */
export class RepeatedAttempts {
  readonly #atMs = new Map<string, number>();

  note(intentId: string, atMs: number): void {
    this.#atMs.delete(intentId);
    this.#atMs.set(intentId, atMs);
    if (this.#atMs.size > REPEATS_KEPT_MAX) this.#atMs.delete(this.#atMs.keys().next().value!);
  }

  lastMs(intentId: string): number {
    return this.#atMs.get(intentId) ?? 0;
  }
}

type Again = { againAtMs: number } | undefined;
type Pending = { index: number; node: string }[];

/** Timer `retry`: the attempt after the latest is due. Returns when to look again, or nothing when this timer is done. */
export async function retryDeliveries(deps: RetryDeps, claim: TimerClaim): Promise<Again> {
  const found = await deps.run.during(() => deps.rows.pending(claim.intentId));
  if (found.kind !== "open" || found.ending !== undefined) return undefined;
  const nowMs = deps.clock.now();
  if (nowMs >= found.deadlineMs) return undefined;
  const intent = await deps.book.get(claim.intentId);
  if (intent === undefined) return undefined;

  const settledAtMs = deps.lastOutageEndMs(intent) + LIMITS.outageGraceMs;
  if (found.attempt >= deps.attemptsMax) return giveUp(deps, intent, found.attempt, settledAtMs);
  if (found.pending.length === 0) return undefined;
  if (nowMs < settledAtMs) return repeatAttempt(deps, intent, found.attempt, found.pending);
  return nextAttempt(deps, intent, claim.attempt ?? found.attempt + 1, found.pending);
}

async function repeatAttempt(deps: RetryDeps, intent: LoadedIntent, attempt: number, pending: Pending): Promise<Again> {
  const nodes = pending.map(({ node }) => node);
  await fanOut(deps, intent, attempt, nodes);
  const sentMs = deps.clock.now();
  deps.repeats.note(intent.id, sentMs);
  return { againAtMs: sentMs + deps.ackTimeoutMs };
}

async function nextAttempt(deps: RetryDeps, intent: LoadedIntent, attempt: number, pending: Pending): Promise<Again> {
  const event = buildEvent(
    "DELIVERY_RETRYING",
    { intent_id: intent.id, attempt, node_ids: pending.map(({ node }) => node) },
    { topic: intent.topic, traceId: intent.intent.trace_id, key: [intent.id, String(attempt)], clock: deps.clock },
  );
  // Told before it is sent: a rebuild that reads the log never counts too few attempts.
  const told = await deps.events.append(event, { beforeEndOf: intent.id });
  if (told.kind === "ended") return undefined;
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

/** A node is dead only if the last attempt was made while everything worked, and had its whole time. */
async function giveUp(deps: RetryDeps, intent: LoadedIntent, attempts: number, settledAtMs: number): Promise<Again> {
  const history = await readTopic(deps.backbone, intent.topic);
  await recordWhatTheLogKnows(deps, intent, history);
  const found = await deps.run.during(() => deps.rows.pending(intent.id));
  if (found.kind !== "open") return undefined;
  if (found.pending.length === 0) {
    await writeLettersOfRow(deps, intent, history); // a process that gave up before may have died ahead of them
    return undefined;
  }
  const sentMs = Math.max(lastAttemptMs(history), deps.repeats.lastMs(intent.id));
  if (sentMs < settledAtMs) return repeatAttempt(deps, intent, attempts, found.pending);
  const provenAtMs = sentMs + deps.ackTimeoutMs;
  if (deps.clock.now() < provenAtMs) return { againAtMs: provenAtMs };
  await deadLetter(deps, intent, { nodes: found.pending, attempts, cause: "ack_timeout" });
  return undefined;
}

function lastAttemptMs(history: readonly Event[]): number {
  const last = history.findLast(({ type }) => type === "DELIVERY_RETRYING" || type === "INTENT_BROADCASTED");
  return (last && parseRfc3339(last.time)) ?? 0;
}

/** Rows follow the log. After an outage of Redis they may lag, and a node that answered must not be called dead. */
async function recordWhatTheLogKnows(deps: RetryDeps, intent: LoadedIntent, history: readonly Event[]): Promise<void> {
  const folded = foldIntent(intent.record.targets, history);
  const updates = intent.record.targets.flatMap((node, index) => {
    const { state } = folded.deliveries.get(node)!;
    return state === "pending" ? [] : [{ index, to: state }];
  });
  if (updates.length > 0) await deps.run.during(() => deps.rows.record([{ intentId: intent.id, updates }]));
}

// Sends an intent again to those who have not answered, up to the threshold; behind it lies the dead letter.
// An attempt before or within an outage proves nothing about a node: it is repeated, not counted. Nor does one whose answers this
// process does not hear all of, since another has sent it; or an answer that it has not got to yet: before the verdict it hears all
// that the server has sent, and records it.

import type { Backbone } from "@outcry/backbone";
import { type EventLog, type IntentBook, type LoadedIntent, foldIntent, readTopic } from "@outcry/delivery";
import type { DeliveryRows, RunKeeper, TimerClaim } from "@outcry/jobs";
import { type Clock, type Event, LIMITS, atRevision, buildEvent, revisionKey } from "@outcry/protocol";
import { deadLetter, type DeadLetterDeps, writeLettersOfRow } from "./dead-letter.js";
import type { SentAttempts } from "./sent-attempts.js";

export interface RetryDeps extends DeadLetterDeps {
  backbone: Backbone;
  book: IntentBook;
  /** Resolves when every ack that this process has got so far is verified and recorded. */
  heardAcks: () => Promise<void>;
  events: EventLog;
  rows: DeliveryRows;
  run: RunKeeper;
  clock: Clock;
  random: () => number;
  ackTimeoutMs: number;
  attemptsMax: number;
  /** Until when an outage may have delayed this intent's answers; 0 = there was none. */
  settledAtMs: (intent: LoadedIntent) => number;
  attempts: SentAttempts;
  onRetried?: (nodes: number) => void;
}

type Again = { againAtMs: number } | undefined;
type Pending = { index: number; node: string }[];

/** Timer `retry`: the attempt after the latest is due. Returns when to look again, or nothing when this timer is done. */
export async function retryDeliveries(deps: RetryDeps, claim: TimerClaim): Promise<Again> {
  const found = await deps.run.during(() => deps.rows.pending(claim.intentId));
  if (found.kind !== "open" || found.ending !== undefined) return undefined;
  const nowMs = deps.clock.now();
  if (nowMs >= found.deadlineMs) return undefined;
  const intent = await ofRevision(deps, claim.intentId, found.revision);
  if (intent === undefined) return undefined;

  const settledAtMs = deps.settledAtMs(intent);
  if (found.attempt >= deps.attemptsMax) {
    const again = await giveUp(deps, intent, found.attempt, settledAtMs);
    if (again === undefined) deps.attempts.forget(intent.id);
    return again;
  }
  if (found.pending.length === 0) return undefined;
  if ((claim.attempt ?? 0) > found.attempt + 1) return undefined; // of the row before an amendment, which has timers of its own
  if (nowMs < settledAtMs) return repeatAttempt(deps, intent, found.attempt, found.pending, settledAtMs);
  return nextAttempt(deps, intent, claim.attempt ?? found.attempt + 1, found.pending);
}

/** The intent as the row has it. Undefined when it was amended since: the row begins anew, with a timer of its own. */
async function ofRevision(deps: RetryDeps, id: string, revision: number): Promise<LoadedIntent | undefined> {
  const known = await deps.book.get(id);
  const intent = known !== undefined && known.revision < revision ? await deps.book.refresh(id) : known;
  return intent?.revision === revision ? intent : undefined;
}

/** At growing distances, and once when all has settled: nodes that come back to a backlog are not asked faster than they answer. */
async function repeatAttempt(
  deps: RetryDeps,
  intent: LoadedIntent,
  attempt: number,
  pending: Pending,
  settledAtMs: number,
): Promise<Again> {
  const nodes = pending.map(({ node }) => node);
  const repeats = (deps.attempts.of(intent, attempt)?.repeats ?? 0) + 1;
  const atMs = await deps.attempts.send(intent, attempt, nodes, repeats);
  const spacedMs = atMs + deps.ackTimeoutMs * 2 ** (repeats - 1);
  const settledMs = settledAtMs + deps.random() * deps.ackTimeoutMs;
  return { againAtMs: Math.max(atMs + deps.ackTimeoutMs, Math.min(spacedMs, settledMs)) };
}

async function nextAttempt(deps: RetryDeps, intent: LoadedIntent, attempt: number, pending: Pending): Promise<Again> {
  const event = buildEvent(
    "DELIVERY_RETRYING",
    { intent_id: intent.id, ...atRevision(intent.revision), attempt, node_ids: pending.map(({ node }) => node) },
    {
      topic: intent.topic,
      traceId: intent.intent.trace_id,
      key: [intent.id, String(attempt), ...revisionKey(intent.revision)],
      clock: deps.clock,
    },
  );
  // Told before it is sent: a rebuild that reads the log never counts too few attempts.
  const told = await deps.events.append(event, { beforeEndOf: intent.id });
  if (told.kind === "ended") return undefined;
  const nextDueMs = deps.clock.now() + deps.ackTimeoutMs + backoffMs(attempt, deps.random);
  const begun = await deps.run.during(() =>
    deps.rows.beginAttempt(
      intent,
      attempt,
      pending.map(({ index }) => index),
      nextDueMs,
    ),
  );
  if (begun.kind !== "begun") return undefined;
  const nodes = begun.indexes.map((index) => intent.record.targets[index]!);
  await deps.attempts.send(intent, attempt, nodes);
  deps.onRetried?.(nodes.length);
  return undefined;
}

/** Full jitter: nodes that were late together are not asked again together. */
export const backoffMs = (attempt: number, random: () => number): number =>
  Math.floor(random() * LIMITS.retryBaseMs * 2 ** attempt);

/**
 * A node is dead only if the last attempt was made while everything worked, by this process, which hears all answers to it, had its
 * whole time, and all of them are recorded.
 */
async function giveUp(deps: RetryDeps, intent: LoadedIntent, attempts: number, settledAtMs: number): Promise<Again> {
  const heardUntilMs = deps.clock.now();
  await deps.backbone.flush();
  await deps.heardAcks();
  const history = await readTopic(deps.backbone, intent.topic);
  await recordWhatTheLogKnows(deps, intent, history);
  const found = await deps.run.during(() => deps.rows.pending(intent.id));
  // The end may have begun meanwhile: it decides what becomes of the pending, and nobody is told dead behind its back.
  if (found.kind !== "open" || found.ending !== undefined || found.revision !== intent.revision) return undefined;
  if (found.pending.length === 0) {
    await writeLettersOfRow(deps, intent, history); // a process that gave up before may have died ahead of them
    return undefined;
  }
  const sent = deps.attempts.of(intent, attempts);
  if (sent === undefined || sent.atMs < settledAtMs)
    return repeatAttempt(deps, intent, attempts, found.pending, settledAtMs);
  const provenAtMs = sent.atMs + deps.ackTimeoutMs;
  if (heardUntilMs < provenAtMs) return { againAtMs: provenAtMs };
  await deadLetter(deps, intent, { nodes: found.pending, attempts, cause: "ack_timeout" });
  return undefined;
}

/** Rows follow the log. After an outage of Redis they may lag, and a node that answered must not be called dead. */
async function recordWhatTheLogKnows(deps: RetryDeps, intent: LoadedIntent, history: readonly Event[]): Promise<void> {
  const folded = foldIntent(intent.record.targets, history);
  if (folded.revision !== intent.revision) return;
  const updates = intent.record.targets.flatMap((node, index) => {
    const { state } = folded.deliveries.get(node)!;
    return state === "pending" ? [] : [{ index, to: state }];
  });
  if (updates.length > 0) await deps.run.during(() => deps.rows.record([{ intent, updates }]));
}

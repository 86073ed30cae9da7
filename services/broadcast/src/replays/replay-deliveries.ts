// Sends the same signed bytes once more to nodes whose deliveries are dead, under an attempt number of their own. It is told before
// it is sent, and noted behind each letter when it was: a crash in between sends once more under the same number.

import type { Appender } from "@outcry/backbone";
import { type DeadDelivery, type EventLog, type LoadedIntent, encodeFollowUp, foldIntent } from "@outcry/delivery";
import {
  END_EVENTS,
  type Event,
  type EventData,
  type EventType,
  LIMITS,
  type LetterReplay,
  OutcryError,
  SUBJECTS,
  atRevision,
  buildEvent,
  revisionKey,
  toRfc3339,
} from "@outcry/protocol";
import type { FoundLetter } from "../dead-letters/find-letters.js";
import { fanOut } from "../fan-out.js";
import { type Hold, type LetterOutcome, stillHeld } from "./hold.js";
import type { JudgeDeps } from "./judge-letters.js";

export interface ReplayDeliveryDeps extends JudgeDeps {
  events: EventLog;
  deadLetters: Appender;
  onReplayed?: (nodes: number) => void;
}

const END_TYPES = new Set<EventType>(Object.values(END_EVENTS));

/** Outcome by letter, all of them of deliveries. Letters of one intent share its events. */
export async function replayDeliveries(
  deps: ReplayDeliveryDeps,
  replayId: string,
  letters: readonly FoundLetter[],
  hold: Hold,
): Promise<Map<string, LetterOutcome>> {
  const byIntent = groupsOf(letters, ({ content }) => (content as DeadDelivery).intent_id);
  // All come to their end before one's failure is told: the slice is then done again, and must not meet itself.
  const settled = await Promise.allSettled(
    [...byIntent].map(async ([intentId, group]): Promise<[string, LetterOutcome][]> => {
      const intent = await deps.book.get(intentId);
      stillHeld(hold, deps.clock.now());
      if (intent === undefined) return group.map(({ id }) => [id, { skipped: "intent_unknown" }]);
      return [...(await replayIntent(deps, replayId, intent, group))];
    }),
  );
  const failed = settled.find(({ status }) => status === "rejected");
  if (failed?.status === "rejected") throw failed.reason;
  return new Map(settled.flatMap((one) => (one.status === "fulfilled" ? one.value : [])));
}

async function replayIntent(
  deps: ReplayDeliveryDeps,
  replayId: string,
  intent: LoadedIntent,
  letters: readonly FoundLetter[],
): Promise<Map<string, LetterOutcome>> {
  const nodes = new Set(letters.map(nodeOf));
  const events = await deps.events.appendDecided(intent.topic, (topic) =>
    nextUntold(deps, replayId, intent, topic, nodes),
  );
  const { revision } = foldIntent(intent.record.targets, events);
  if (revision > intent.revision) return replayIntent(deps, replayId, await newest(deps, intent, revision), letters);
  const attempts = attemptsOf(events, replayId);
  const outcomes = new Map<string, LetterOutcome>();
  const due: { letter: FoundLetter; attempt: number }[] = [];
  for (const letter of letters) {
    const verdict = await beginOne(deps, intent, nodeOf(letter), attempts.get(nodeOf(letter)), events);
    if (typeof verdict === "number") due.push({ letter, attempt: verdict });
    else outcomes.set(letter.id, verdict);
  }
  for (const [attempt, group] of groupsOf(due, (one) => one.attempt)) {
    await fanOut(
      deps,
      intent,
      attempt,
      group.map(({ letter }) => nodeOf(letter)),
    );
    deps.onReplayed?.(group.length);
  }
  await Promise.all(due.map(({ letter, attempt }) => noteSent(deps, replayId, letter, attempt)));
  for (const { letter } of due) outcomes.set(letter.id, "sent");
  return outcomes;
}

/** Another process has amended it: its newest bytes are what the node missed. */
async function newest({ book }: ReplayDeliveryDeps, { id }: LoadedIntent, revision: number): Promise<LoadedIntent> {
  const intent = await book.refresh(id);
  if (intent !== undefined && intent.revision >= revision) return intent;
  throw new OutcryError("dependency_unavailable", `nats: a replica does not show revision ${revision} of ${id} yet`);
}

const nodeOf = ({ content }: FoundLetter): string => (content as DeadDelivery).node_id;

function groupsOf<K, T>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}

/** One event for all whose next attempt has the same number. Nothing follows the end. */
function nextUntold(
  deps: ReplayDeliveryDeps,
  replayId: string,
  intent: LoadedIntent,
  topic: readonly Event[],
  nodes: ReadonlySet<string>,
): Event | undefined {
  if (topic.some(({ type }) => END_TYPES.has(type))) return undefined;
  const told = attemptsOf(topic, replayId);
  const { deliveries, revision } = foldIntent(intent.record.targets, topic);
  if (revision !== intent.revision) return undefined;
  const untold = [...nodes].filter((node) => !told.has(node) && deliveries.get(node)?.state === "dead");
  const attemptOf = (node: string): number => deliveries.get(node)!.attempts + 1;
  const attempt = Math.min(...untold.map(attemptOf));
  if (untold.length === 0 || attempt > LIMITS.attemptsCeiling) return undefined;
  const alike = untold.filter((node) => attemptOf(node) === attempt);
  return buildEvent(
    "DELIVERY_REPLAYED",
    {
      intent_id: intent.id,
      ...atRevision(intent.revision),
      node_ids: alike,
      attempt,
      replay_id: replayId,
      dead_letter_ids: alike.map((node) => SUBJECTS.deadDelivery(intent.id, node)),
    },
    {
      topic: intent.topic,
      traceId: intent.intent.trace_id,
      key: [intent.id, replayId, String(attempt), ...alike, ...revisionKey(intent.revision)],
      clock: deps.clock,
    },
  );
}

/** Attempt by node, as this replay has told it. */
function attemptsOf(events: readonly Event[], replayId: string): Map<string, number> {
  const attempts = new Map<string, number>();
  for (const { type, data } of events) {
    if (type !== "DELIVERY_REPLAYED") continue;
    const { replay_id, node_ids, attempt } = data as EventData<"DELIVERY_REPLAYED">;
    if (replay_id === replayId) for (const node of node_ids) attempts.set(node, attempt);
  }
  return attempts;
}

/** Its attempt, or why there is none. */
async function beginOne(
  deps: ReplayDeliveryDeps,
  intent: LoadedIntent,
  node: string,
  attempt: number | undefined,
  events: readonly Event[],
): Promise<number | { skipped: "already_answered" | "intent_ended" | "attempts_exhausted" }> {
  if (attempt === undefined) {
    if (events.some(({ type }) => END_TYPES.has(type))) return { skipped: "intent_ended" };
    const { state } = foldIntent(intent.record.targets, events).deliveries.get(node)!;
    return { skipped: state === "dead" ? "attempts_exhausted" : "already_answered" };
  }
  const begun = await deps.run.during(() => deps.rows.beginReplay(intent, intent.indexOf.get(node)!, attempt));
  if (begun === "begun") return attempt;
  // Amended a moment ago: it is being sent to all as a first attempt.
  return { skipped: begun === "answered" || begun === "superseded" ? "already_answered" : "intent_ended" };
}

async function noteSent(
  deps: ReplayDeliveryDeps,
  replayId: string,
  { id, fate }: FoundLetter,
  attempt: number,
): Promise<void> {
  const word: LetterReplay = { replay_id: replayId, time: toRfc3339(deps.clock.now()), outcome: "sent", attempt };
  // When another replay has noted its own meanwhile, that one stands: the events tell of both.
  await deps.deadLetters.append({
    subject: SUBJECTS.letterFollowUp(id, "replayed"),
    data: encodeFollowUp(word),
    expectLast: { seq: fate.replayedSeq },
  });
}

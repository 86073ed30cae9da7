// The checker: what clients and nodes were told, held against what the record holds. Pure; each broken promise is one line.
// That it finds each kind of fault is shown by planting them (plants.ts, load.test.ts). Quotes and dead letters: check-quotes.ts.

import { foldIntent, unpackDeliveries } from "@outcry/delivery";
import { END_EVENTS, EVENTS, type EventData, type EventType, parseTopic, revisionOf } from "@outcry/protocol";
import { checkAmendments } from "./check-amendments.js";
import { checkDeadLetters, checkQuotes } from "./check-quotes.js";
import { checkRecoveries } from "./check-recoveries.js";
import {
  type CheckReport,
  type Count,
  type History,
  type Index,
  indexRecord,
  type IntentEntry,
  type Say,
  type Violation,
} from "./history.js";
import { intentStory, nodeStory } from "./stories.js";
import type { Entry, RecordCopy } from "./record.js";

const ANSWER_RACE_MS = 1_000; // an answer told so shortly before the end may go either way
const STALL_EXCUSES_MS = 15_000; // from the first attempt to the end of a short intent

const END_TYPES = new Set<EventType>(Object.values(END_EVENTS));

export function checkHistory(history: History): CheckReport {
  const violations: Violation[] = [];
  const say: Say = (rule, detail) => void violations.push({ rule, detail });
  const index = indexRecord(history.record);
  const counts: Record<string, number> = {};
  const add: Count = (name, by = 1) => void (counts[name] = (counts[name] ?? 0) + by);

  checkPosts(history, index, say);
  checkEvents(history, index, say);
  checkAmendments(history, index, say, add);
  for (const intent of index.intents.values()) checkIntent(history, index, intent, say, add);
  checkQuotes(history, index, say, add);
  checkDeadLetters(history, index, say, add);
  add("intents", index.intents.size);
  add("events", history.record.events.length);
  add("quotes told stored", history.stored.length);
  add("posts that needed a retry", history.posts.filter(({ tries }) => tries.length > 1).length);
  return { violations, counts };
}

/** An accepted intent is recorded once; a replay is answered as the first time. */
function checkPosts({ posts, unaccepted }: History, index: Index, say: Say): void {
  for (const id of index.doubled) say("intent_doubled", id);
  for (const id of unaccepted) if (index.intents.has(id)) say("unaccepted_recorded", id);
  for (const { key, accepted, replay, targets } of posts) {
    if (accepted === undefined) continue;
    const intent = index.intents.get(accepted.id);
    if (intent === undefined) say("accepted_lost", `${key} ${accepted.id}`);
    else if (!sameSet(intent.targets, targets)) say("targets_differ", accepted.id);
    if (replay === undefined) continue;
    const same = JSON.stringify(replay.answer) === JSON.stringify(accepted);
    if (replay.status !== 202 || !replay.replayed || !same) say("replay_differs", `${key}: ${JSON.stringify(replay)}`);
  }
}

/** Every event but NODE_RESPONDED is there once, and belongs to a recorded intent. */
function checkEvents({ record }: History, index: Index, say: Say): void {
  const seen = new Set<string>();
  for (const { value, seq, subject } of record.events) {
    const topic = parseTopic(subject);
    if (topic?.kind === "intent" && !index.intents.has(topic.id))
      say("event_without_intent", `${value.type} ${subject}`);
    if (EVENTS[value.type].repeats) continue;
    if (seen.has(value.id)) say("event_doubled", `${value.type} ${value.id} at ${seq}`);
    seen.add(value.id);
  }
}

function checkIntent(history: History, index: Index, intent: IntentEntry, say: Say, add: Count): void {
  const { id, events } = intent;
  const of = (type: EventType) => events.filter(({ value }) => value.type === type);
  if (of("INTENT_CREATED").length !== 1) say("created_count", `${id}: ${of("INTENT_CREATED").length}`);
  if (events[0]?.value.type !== "INTENT_CREATED") say("created_not_first", `${id}: ${events[0]?.value.type}`);
  const broadcasts = of("INTENT_BROADCASTED").map(({ value }) => revisionOf(value.data as { revision?: number }));
  if (new Set(broadcasts).size !== broadcasts.length) say("broadcasted_doubled", id);
  if (of("INTENT_BROADCASTED").length === 0) add("ended before the broadcast");

  const ends = index.ends.get(id) ?? [];
  if (ends.length !== 1) return say("end_count", `${id}: ${ends.length} ends; ${intentStory(intent)}`);
  const end = ends[0]!;
  add(end.value.outcome);
  const endEvents = events.filter(({ value }) => END_TYPES.has(value.type));
  if (endEvents.length !== 1)
    say("end_event_count", `${id}: ${endEvents.map(({ value }) => value.type).join(" ") || "none"}`);
  if (endEvents[0] !== undefined) {
    if (endEvents[0].value.type !== END_EVENTS[end.value.outcome])
      say("end_event_differs", `${id}: ${endEvents[0].value.type}`);
    const behind = events.filter(
      ({ seq, value }) => seq > endEvents[0]!.seq && value.type !== "NODE_RESPONDED" && !END_TYPES.has(value.type),
    );
    for (const { value } of behind) say("event_behind_end", `${id}: ${value.type}; ${intentStory(intent)}`);
  }
  checkAttempts(history, intent, say);
  checkDeliveries(history, index, intent, end, say, add);
  checkRecoveries(intent, end, say, add);
}

/** One DELIVERY_RETRYING per revision and attempt, none beyond the threshold. */
function checkAttempts({ attemptsMax }: History, { id, events }: IntentEntry, say: Say): void {
  const retries = events.flatMap(({ value }) =>
    value.type === "DELIVERY_RETRYING" ? [value.data as EventData<"DELIVERY_RETRYING">] : [],
  );
  const attempts = retries.map((data) => `${revisionOf(data)}:${data.attempt}`);
  if (new Set(attempts).size !== attempts.length) say("attempt_doubled", `${id}: ${attempts.join(" ")}`);
  if (retries.some(({ attempt }) => attempt > attemptsMax)) say("attempts_exceeded", `${id}: ${attempts.join(" ")}`);
}

/** Each target in one final state, and none that the log contradicts. */
function checkDeliveries(
  { attemptsMax, healthy, stalls }: History,
  index: Index,
  { id, targets, events }: IntentEntry,
  end: Entry<RecordCopy["ends"][number]["value"]>,
  say: Say,
  add: Count,
): void {
  const final = unpackDeliveries(end.value.deliveries);
  // The threshold is that of automatic attempts: an operator's come on top, and are told.
  const replayed = new Set(
    events.flatMap(({ value }) =>
      value.type === "DELIVERY_REPLAYED" ? (value.data as EventData<"DELIVERY_REPLAYED">).node_ids : [],
    ),
  );
  if (final.length !== targets.length) return say("deliveries_count", `${id}: ${final.length} of ${targets.length}`);
  // Which revision ended is never a question of time: the end names it.
  const before = events
    .filter(({ timeMs, value }) => timeMs <= end.timeMs - ANSWER_RACE_MS || value.type === "INTENT_AMENDED")
    .map(({ value }) => value);
  const log = foldIntent(targets, before).deliveries;
  const later = foldIntent(
    targets,
    events.map(({ value }) => value),
  ).deliveries;
  for (const [at, node] of targets.entries()) {
    const { state, attempts } = final[at]!;
    add("deliveries");
    add(`deliveries ${state}`);
    const where = `${id} ${node}: ${state} after ${attempts}, the log says ${log.get(node)!.state}`;
    if (state === "pending" || state === "acked") say("delivery_not_final", where);
    if (attempts > attemptsMax && !replayed.has(node)) say("attempts_exceeded", where);
    if (state === "dead" && healthy.includes(node)) {
      const stalled = stalls.some(({ fromMs, toMs }) => fromMs < end.timeMs && toMs > end.timeMs - STALL_EXCUSES_MS);
      if (stalled) add("deliveries dead after a stall of the nodes' process");
      else say("healthy_node_dead", `${where}: ${nodeStory(index, id, node)}`);
    }
    const answered = new Set(["declined", "rejected", "quoted"]);
    // What the end says was answered stands in the log, sooner or (a quote that was being judged) a little later.
    if (answered.has(state) && state !== later.get(node)!.state)
      say("state_without_answer", `${where}: ${nodeStory(index, id, node)}`);
    if (!answered.has(state) && answered.has(log.get(node)!.state))
      say("answer_not_counted", `${where}: ${nodeStory(index, id, node)}`);
  }
}

function sameSet(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((each) => other.includes(each));
}

// The checker: what clients and nodes were told, held against what the record holds. Pure; each broken promise is one line.
// Its own tests plant each fault in a good history and see it found (check-history.test.ts).

import { foldIntent, unpackDeliveries } from "@outcry/delivery";
import {
  digestOf,
  END_EVENTS,
  EVENTS,
  type Event,
  type EventData,
  type EventType,
  parseTopic,
  type Quote,
} from "@outcry/protocol";
import type { Post } from "./load.js";
import type { Entry, RecordCopy } from "./record.js";
import type { StoredReport } from "./sellers.js";

export interface History {
  posts: Post[];
  /** Ids of posts that were never accepted. */
  unaccepted: string[];
  stored: StoredReport[];
  record: RecordCopy;
  /** What GET …/quotes says of each intent: quote id → rank, or the code why it is not ranked. */
  quoteViews: Record<string, Record<string, number | string>>;
  attemptsMax: number;
  /** Nodes that answer whatever happens: none of their deliveries may be dead. */
  healthy: string[];
  /** When the nodes' own process stood still for so long that it could not answer: on a starved machine it is not healthy. */
  stalls: { fromMs: number; toMs: number }[];
}

export interface Violation {
  rule: string;
  detail: string;
}

export interface CheckReport {
  violations: Violation[];
  /** What was looked at, for the report. */
  counts: Record<string, number>;
}

type Say = (rule: string, detail: string) => void;

const ANSWER_RACE_MS = 1_000; // an answer told so shortly before the end may go either way

const STALL_EXCUSES_MS = 15_000; // from the first attempt to the end of a short intent

const END_TYPES = new Set<EventType>(Object.values(END_EVENTS));
const OUTCOME_TYPES = new Set<EventType>(["QUOTE_RECEIVED", "QUOTE_REFUSED"]);

export function checkHistory(history: History): CheckReport {
  const violations: Violation[] = [];
  const say: Say = (rule, detail) => void violations.push({ rule, detail });
  const index = indexRecord(history.record);
  const counts: Record<string, number> = {};
  const add = (name: string, by = 1) => (counts[name] = (counts[name] ?? 0) + by);

  checkPosts(history, index, say);
  checkEvents(history, index, say);
  for (const intent of index.intents.values()) checkIntent(history, index, intent, say, add);
  checkQuotes(history, index, say, add);
  checkDeadLetters(history, index, say, add);
  add("intents", index.intents.size);
  add("events", history.record.events.length);
  add("quotes told stored", history.stored.length);
  add("posts that needed a retry", history.posts.filter(({ tries }) => tries.length > 1).length);
  return { violations, counts };
}

interface IntentEntry {
  id: string;
  targets: string[];
  deadlineMs: number;
  /** In the log's order. */
  events: Entry<Event>[];
}

interface Index {
  intents: Map<string, IntentEntry>;
  ends: Map<string, RecordCopy["ends"]>;
  /** Quote id → its outcomes. */
  outcomes: Map<string, Entry<Event>[]>;
  quotes: Map<string, RecordCopy["quotes"]>;
  dead: Map<string, RecordCopy["deadLetters"]>;
  doubled: string[];
}

function indexRecord(record: RecordCopy): Index {
  const index: Index = {
    intents: new Map(),
    ends: new Map(),
    outcomes: new Map(),
    quotes: new Map(),
    dead: new Map(),
    doubled: [],
  };
  for (const { subject, value } of record.intents) {
    const id = subject.split(".")[3]!;
    if (index.intents.has(id)) index.doubled.push(id);
    const intent = JSON.parse(value.envelope) as { payload: { quote_deadline: string } };
    index.intents.set(id, {
      id,
      targets: value.targets,
      deadlineMs: Date.parse(intent.payload.quote_deadline),
      events: [],
    });
  }
  for (const end of record.ends) push(index.ends, end.subject.split(".")[3]!, end);
  for (const event of record.events) {
    const topic = parseTopic(event.subject);
    if (topic?.kind === "intent") index.intents.get(topic.id)?.events.push(event);
    if (OUTCOME_TYPES.has(event.value.type)) push(index.outcomes, quoteIdOf(event), event);
  }
  for (const quote of record.quotes) push(index.quotes, quote.subject.split(".")[3]!, quote);
  for (const letter of record.deadLetters)
    if (letter.value.kind === "delivery") push(index.dead, letter.subject, letter);
  return index;
}

const push = <T>(map: Map<string, T[]>, key: string, value: T): void =>
  void (map.get(key)?.push(value) ?? map.set(key, [value]));
const quoteIdOf = ({ value }: Entry<Event>): string => (value.data as EventData<"QUOTE_RECEIVED">).quote_id;

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

function checkIntent(
  history: History,
  index: Index,
  intent: IntentEntry,
  say: Say,
  add: (name: string, by?: number) => void,
): void {
  const { id, events } = intent;
  const of = (type: EventType) => events.filter(({ value }) => value.type === type);
  if (of("INTENT_CREATED").length !== 1) say("created_count", `${id}: ${of("INTENT_CREATED").length}`);
  if (events[0]?.value.type !== "INTENT_CREATED") say("created_not_first", `${id}: ${events[0]?.value.type}`);
  if (of("INTENT_BROADCASTED").length > 1) say("broadcasted_doubled", id);
  if (of("INTENT_BROADCASTED").length === 0) add("ended before the broadcast");

  const ends = index.ends.get(id) ?? [];
  if (ends.length !== 1) return say("end_count", `${id}: ${ends.length} ends`);
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
    for (const { value } of behind) say("event_behind_end", `${id}: ${value.type}`);
  }
  checkAttempts(history, intent, say);
  checkDeliveries(history, intent, end, say, add);
}

/** One DELIVERY_RETRYING per attempt, none beyond the threshold. */
function checkAttempts({ attemptsMax }: History, { id, events }: IntentEntry, say: Say): void {
  const attempts = events.flatMap(({ value }) =>
    value.type === "DELIVERY_RETRYING" ? [(value.data as EventData<"DELIVERY_RETRYING">).attempt] : [],
  );
  if (new Set(attempts).size !== attempts.length) say("attempt_doubled", `${id}: ${attempts.join(" ")}`);
  if (attempts.some((attempt) => attempt > attemptsMax)) say("attempts_exceeded", `${id}: ${attempts.join(" ")}`);
}

/** Each target in one final state, and none that the log contradicts. */
function checkDeliveries(
  { attemptsMax, healthy, stalls }: History,
  { id, targets, events }: IntentEntry,
  end: Entry<RecordCopy["ends"][number]["value"]>,
  say: Say,
  add: (name: string, by?: number) => void,
): void {
  const final = unpackDeliveries(end.value.deliveries);
  if (final.length !== targets.length) return say("deliveries_count", `${id}: ${final.length} of ${targets.length}`);
  const before = events.filter(({ timeMs }) => timeMs <= end.timeMs - ANSWER_RACE_MS).map(({ value }) => value);
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
    if (attempts > attemptsMax) say("attempts_exceeded", where);
    if (state === "dead" && healthy.includes(node)) {
      const stalled = stalls.some(({ fromMs, toMs }) => fromMs < end.timeMs && toMs > end.timeMs - STALL_EXCUSES_MS);
      if (stalled) add("deliveries dead after a stall of the nodes' process");
      else say("healthy_node_dead", where);
    }
    const answered = new Set(["declined", "rejected", "quoted"]);
    // What the end says was answered stands in the log, sooner or (a quote that was being judged) a little later.
    if (answered.has(state) && state !== later.get(node)!.state) say("state_without_answer", where);
    if (!answered.has(state) && answered.has(log.get(node)!.state)) say("answer_not_counted", where);
  }
}

/** A quote that is stored has one outcome; one that counts was in time, and the reader sees what the log says. */
function checkQuotes(
  { record, stored, quoteViews }: History,
  index: Index,
  say: Say,
  add: (name: string, by?: number) => void,
): void {
  for (const [quoteId, copies] of index.quotes) {
    if (copies.length > 1) say("quote_doubled", quoteId);
    const outcomes = index.outcomes.get(quoteId) ?? [];
    if (outcomes.length !== 1)
      say("quote_outcomes", `${quoteId}: ${outcomes.map(({ value }) => value.type).join(" ") || "none"}`);
    const [outcome] = outcomes;
    if (outcome === undefined) continue;
    add(outcome.value.type);
    if (outcome.value.type === "QUOTE_RECEIVED") checkInTime(index, copies[0]!, say);
    checkView(quoteViews, copies[0]!, outcome, say);
  }
  for (const quoteId of index.outcomes.keys()) if (!index.quotes.has(quoteId)) say("outcome_without_quote", quoteId);
  for (const { quoteId, digest } of stored) {
    const found = record.quotes.find(({ subject }) => subject.endsWith(`.${quoteId}`));
    if (found === undefined) say("stored_quote_lost", quoteId);
    else if (digestOf(Buffer.from(found.value.envelope)) !== digest) say("stored_quote_differs", quoteId);
  }
}

function checkInTime(index: Index, quote: RecordCopy["quotes"][number], say: Say): void {
  const intentId = quote.subject.split(".")[1]!;
  const intent = index.intents.get(intentId);
  const end = index.ends.get(intentId)?.[0];
  const { payload } = JSON.parse(quote.value.envelope) as Quote;
  if (intent === undefined || payload.intent_id !== intentId) return say("quote_foreign", quote.subject);
  if (quote.timeMs > intent.deadlineMs) say("late_quote_counted", quote.subject);
  if (end !== undefined && quote.seq > end.value.quotes_through)
    say("late_quote_counted", `${quote.subject}: behind quotes_through`);
}

function checkView(
  views: History["quoteViews"],
  quote: RecordCopy["quotes"][number],
  outcome: Entry<Event>,
  say: Say,
): void {
  const [, intentId, , quoteId] = quote.subject.split(".") as [string, string, string, string];
  const view = views[intentId];
  if (view === undefined) return;
  const shown = view[quoteId];
  if (shown === undefined) return say("quote_not_shown", quote.subject);
  const refused =
    outcome.value.type === "QUOTE_REFUSED" ? (outcome.value.data as EventData<"QUOTE_REFUSED">).code : undefined;
  if (refused === undefined ? shown === "processing" || shown === "intent_ended" : shown !== refused) {
    say("quote_shown_otherwise", `${quote.subject}: ${shown}, the log says ${refused ?? "received"}`);
  }
}

/** Dead letters are the deliveries that ended dead, once each, and those that recovered before the end. */
function checkDeadLetters(history: History, index: Index, say: Say, add: (name: string, by?: number) => void): void {
  const { record, attemptsMax } = history;
  const told = new Set<string>();
  for (const { value } of record.events) {
    if (value.type !== "DELIVERY_DEAD_LETTERED") continue;
    const { intent_id, node_ids } = value.data as EventData<"DELIVERY_DEAD_LETTERED">;
    for (const node of node_ids) told.add(`dead.${intent_id}.${node}`);
  }
  const dead = new Set<string>();
  for (const intent of index.intents.values()) {
    const end = index.ends.get(intent.id)?.[0];
    if (end === undefined) continue;
    for (const [at, { state }] of unpackDeliveries(end.value.deliveries).entries()) {
      if (state === "dead") dead.add(`dead.${intent.id}.${intent.targets[at]}`);
    }
  }
  for (const [subject, letters] of index.dead) {
    add("dead letters");
    const [letter] = letters;
    if (letters.length > 1) say("dead_letter_doubled", subject);
    if (letter!.value.cause === "" || letter!.value.attempts > attemptsMax) say("dead_letter_malformed", subject);
    if (!told.has(subject)) say("dead_letter_untold", subject);
    if (dead.has(subject)) continue;
    if (answeredBehind(index, subject, letter!.timeMs)) add("recovered deliveries");
    else say("dead_letter_of_living", subject);
  }
  for (const subject of dead) if (!index.dead.has(subject)) say("dead_letter_lost", subject);
}

function answeredBehind(index: Index, subject: string, timeMs: number): boolean {
  const [, intentId, node] = subject.split(".");
  return (index.intents.get(intentId!)?.events ?? []).some(
    ({ value, timeMs: at }) =>
      at >= timeMs &&
      value.type === "NODE_RESPONDED" &&
      (value.data as EventData<"NODE_RESPONDED">).responses.some(({ node_id }) => node_id === node),
  );
}

function sameSet(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((each) => other.includes(each));
}

// The checker's rules about quotes and dead letters.

import { unpackDeliveries } from "@outcry/delivery";
import { digestOf, type Event, type EventData, type Quote } from "@outcry/protocol";
import type { Count, History, Index, Say } from "./history.js";
import { nodeStory } from "./stories.js";
import type { Entry, RecordCopy } from "./record.js";

/** A quote that is stored has one outcome; one that counts was in time, and the reader sees what the log says. */
export function checkQuotes({ stored, quoteViews }: History, index: Index, say: Say, add: Count): void {
  for (const [quoteId, copies] of index.quotes) {
    if (copies.length > 1) say("quote_doubled", quoteId);
    const outcomes = index.outcomes.get(quoteId) ?? [];
    if (outcomes.length !== 1)
      say("quote_outcomes", `${quoteId}: ${outcomes.map(({ value }) => value.type).join(" ") || "none"}`);
    const [outcome] = outcomes;
    if (outcome === undefined) continue;
    add(outcome.value.type);
    if (outcome.value.type === "QUOTE_RECEIVED") checkInTime(index, copies[0]!, say);
    checkView(index, quoteViews, copies[0]!, outcome, say);
  }
  for (const quoteId of index.outcomes.keys()) if (!index.quotes.has(quoteId)) say("outcome_without_quote", quoteId);
  for (const { quoteId, digest } of stored) {
    const found = index.quotes.get(quoteId)?.[0];
    if (found === undefined) say("stored_quote_lost", quoteId);
    else if (digestOf(Buffer.from(found.value.envelope)) !== digest) say("stored_quote_differs", quoteId);
  }
}

function checkInTime(index: Index, quote: RecordCopy["quotes"][number], say: Say): void {
  const intentId = quote.subject.split(".")[1]!;
  const intent = index.intents.get(intentId);
  const end = index.ends.get(intentId)?.[0];
  const { payload, request_digest: digest } = JSON.parse(quote.value.envelope) as Quote;
  if (intent === undefined || payload.intent_id !== intentId) return say("quote_foreign", quote.subject);
  if (digest !== intent.digests.at(-1)) return; // told before its judge had heard of the amendment; nobody counts it
  if (quote.timeMs > intent.deadlineMs) say("late_quote_counted", quote.subject);
  if (end !== undefined && quote.seq > end.value.quotes_through)
    say("late_quote_counted", `${quote.subject}: behind quotes_through`);
}

function checkView(
  index: Index,
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
  const { request_digest: digest } = JSON.parse(quote.value.envelope) as Quote;
  const superseded = index.intents.get(intentId)?.digests.slice(0, -1).includes(digest);
  if (superseded || refused === "quote_superseded") {
    if (!superseded || shown !== "superseded") say("superseded_quote_counted", `${quote.subject}: ${shown}`);
    return;
  }
  if (refused === undefined ? shown === "processing" || shown === "intent_ended" : shown !== refused) {
    say("quote_shown_otherwise", `${quote.subject}: ${shown}, the log says ${refused ?? "received"}`);
  }
}

/** Dead letters are the deliveries that ended dead, once each, and those that recovered before the end. */
export function checkDeadLetters(history: History, index: Index, say: Say, add: Count): void {
  const { record, attemptsMax } = history;
  const told = new Map<string, number>(); // place of the event
  for (const { value, seq } of record.events) {
    if (value.type !== "DELIVERY_DEAD_LETTERED") continue;
    const { intent_id, node_ids } = value.data as EventData<"DELIVERY_DEAD_LETTERED">;
    for (const node of node_ids) told.set(`dead.${intent_id}.${node}`, seq);
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
    if (amendedBehind(index, subject, told.get(subject) ?? Infinity)) {
      add("letters of earlier revisions");
      continue;
    }
    if (answeredBehind(index, subject, told.get(subject) ?? Infinity)) add("recovered deliveries");
    else say("dead_letter_of_living", `${subject}: ${storyOf(index, subject)}`);
  }
  for (const subject of dead) if (!index.dead.has(subject)) say("dead_letter_lost", subject);
}

const storyOf = (index: Index, subject: string): string => {
  const [, intentId, node] = subject.split(".");
  return nodeStory(index, intentId!, node!);
};

/** The delivery began anew: what became of it later says nothing about this death. */
function amendedBehind(index: Index, subject: string, toldSeq: number): boolean {
  const events = index.intents.get(subject.split(".")[1]!)?.events ?? [];
  return events.some(({ value, seq }) => seq > toldSeq && value.type === "INTENT_AMENDED");
}

/** Its letter may be written a moment later: what counts is the log's own order. */
function answeredBehind(index: Index, subject: string, toldSeq: number): boolean {
  const [, intentId, node] = subject.split(".");
  return (index.intents.get(intentId!)?.events ?? []).some(
    ({ value, seq }) =>
      seq > toldSeq &&
      value.type === "NODE_RESPONDED" &&
      (value.data as EventData<"NODE_RESPONDED">).responses.some(({ node_id }) => node_id === node),
  );
}

// One planted fault per rule of the checker, done to a good history: each must be found, or the checker counts for nothing.

import { packDeliveries, unpackDeliveries } from "@outcry/delivery";
import { END_EVENTS, type DeliveryState, type Event, type EventData, type EventType } from "@outcry/protocol";
import type { History } from "./history.js";
import type { DeadEntry, Entry } from "./record.js";

type End = History["record"]["ends"][number];

const END_TYPES = new Set<EventType>(Object.values(END_EVENTS));

/** Rule that must speak → what is done to the history. */
export const PLANTS: Readonly<Record<string, (history: History) => void>> = {
  accepted_lost: ({ record }) => void record.intents.shift(),
  intent_doubled: ({ record }) => void record.intents.push(record.intents[0]!),
  unaccepted_recorded: ({ record, unaccepted }) => void unaccepted.push(record.intents[0]!.subject.split(".")[3]!),
  targets_differ: ({ record }) => void record.intents[0]!.value.targets.pop(),
  replay_differs: ({ posts }) => void (posts.find(({ replay }) => replay)!.replay!.replayed = false),
  event_without_intent: ({ record }) => void record.intents.pop(),
  event_doubled: (history) => double(history, "INTENT_CREATED"),
  created_count: (history) => drop(history, "INTENT_CREATED"),
  created_not_first: ({ record }) => {
    const at = record.events.findIndex(({ value }) => value.type === "INTENT_CREATED");
    const [created] = record.events.splice(at, 1);
    record.events.push(created!);
  },
  broadcasted_doubled: (history) => double(history, "INTENT_BROADCASTED"),
  attempt_doubled: (history) => double(history, "DELIVERY_RETRYING"),
  attempts_exceeded: (history) => {
    const { data } = first(history, "DELIVERY_RETRYING").value as Event<"DELIVERY_RETRYING">;
    data.attempt = history.attemptsMax + 1;
  },
  amendment_lost: ({ posts }) => {
    const amended = posts.find(({ amendments }) => amendments.some(({ answer }) => answer !== undefined))!;
    amended.amendments.find(({ answer }) => answer !== undefined)!.answer!.request_digest = "another";
  },
  amendment_replay_differs: ({ posts }) => {
    const amended = posts.find(({ amendments }) => amendments.some(({ replay }) => replay !== undefined))!;
    delete amended.amendments.find(({ replay }) => replay !== undefined)!.replay;
  },
  amendment_doubled: ({ record }) => void record.revisions.push(record.revisions[0]!),
  revision_gap: ({ record }) => void (record.revisions[0]!.value.revision += 1),
  amended_untold: (history) => drop(history, "INTENT_AMENDED"),
  end_of_other_revision: ({ record }) => {
    const end = record.ends.find(({ value }) => value.revision !== undefined)!;
    delete end.value.revision;
  },
  revision_behind_end: ({ record }) => void (record.revisions[0]!.seq = Number.MAX_SAFE_INTEGER),
  superseded_quote_counted: ({ quoteViews }) => {
    for (const view of Object.values(quoteViews)) {
      const superseded = Object.keys(view).find((quoteId) => view[quoteId] === "superseded");
      if (superseded !== undefined) view[superseded] = 1;
    }
  },
  end_count: ({ record }) => void record.ends.pop(),
  end_event_count: ({ record }) => {
    record.events.splice(
      record.events.findIndex(({ value }) => END_TYPES.has(value.type)),
      1,
    );
  },
  end_event_differs: ({ record }) => {
    const end = record.ends.find(({ value }) => value.outcome !== "cancelled")!;
    end.value.outcome = "cancelled";
  },
  event_behind_end: (history) => {
    const at = history.record.events.findIndex(({ value }) => value.type === "QUOTE_RECEIVED");
    const [moved] = history.record.events.splice(at, 1);
    history.record.events.push({ ...moved!, seq: Number.MAX_SAFE_INTEGER });
  },
  deliveries_count: ({ record }) => {
    const [end] = record.ends;
    end!.value.deliveries = packDeliveries(unpackDeliveries(end!.value.deliveries).slice(1));
  },
  delivery_not_final: (history) => restate(history, "declined", "acked"),
  healthy_node_dead: (history) => {
    history.stalls = [];
    const node = restate(history, "quoted", "dead");
    history.healthy.push(node);
  },
  // One node's answers are lost from the log, the end still says "declined".
  state_without_answer: (history) => {
    const { intent, node } = endedAs(history, "declined");
    for (const { value } of history.record.events) {
      const data = value.data as EventData<"NODE_RESPONDED">;
      if (value.type !== "NODE_RESPONDED" || data.intent_id !== intent) continue;
      data.responses = data.responses.filter(({ node_id }) => node_id !== node);
    }
  },
  answer_not_counted: (history) => restate(history, "declined", "timed_out"),
  quote_doubled: ({ record }) => void record.quotes.push(record.quotes[0]!),
  quote_outcomes: (history) => drop(history, "QUOTE_RECEIVED"),
  outcome_without_quote: ({ record }) => void record.quotes.pop(),
  stored_quote_lost: ({ record, stored }) => {
    const lost = stored[0]!.quoteId;
    record.quotes = record.quotes.filter(({ subject }) => !subject.endsWith(lost));
  },
  stored_quote_differs: ({ stored }) => void (stored[0]!.digest = "sha256:another"),
  late_quote_counted: ({ record }) => {
    const received = record.events.find(({ value }) => value.type === "QUOTE_RECEIVED")!;
    const { intent_id } = received.value.data as EventData<"QUOTE_RECEIVED">;
    record.ends.find(({ subject }) => subject.includes(intent_id))!.value.quotes_through = 0;
  },
  quote_not_shown: ({ quoteViews }) => {
    for (const [id, view] of Object.entries(quoteViews)) if (Object.keys(view).length > 0) quoteViews[id] = {};
  },
  quote_shown_otherwise: ({ quoteViews }) => {
    for (const view of Object.values(quoteViews)) for (const quote of Object.keys(view)) view[quote] = "processing";
  },
  dead_letter_lost: (history) => {
    const lost = letterOfDead(history);
    history.record.deadLetters = history.record.deadLetters.filter((letter) => letter !== lost);
  },
  dead_letter_doubled: ({ record }) => void record.deadLetters.push(record.deadLetters[0]!),
  // Not just any such event: what it told may have come back before its letter was written.
  dead_letter_untold: ({ record }) => {
    const { intent_id: intent } = record.deadLetters[0]!.value;
    record.events = record.events.filter(
      ({ value }) =>
        value.type !== "DELIVERY_DEAD_LETTERED" || (value.data as { intent_id: string }).intent_id !== intent,
    );
  },
  dead_letter_malformed: ({ record }) => void (record.deadLetters[0]!.value.cause = ""),
  dead_letter_of_living: (history) => {
    const [, intent, node] = letterOfDead(history).subject.split(".") as [string, string, string];
    setState(history, intent, node, "timed_out");
  },
  recovery_lost: (history) => void answerBehindDeath(history),
  recovery_doubled: (history) => {
    const told = answerBehindDeath(history);
    history.record.events.push(told, { ...told, value: { ...told.value, id: `${told.value.id}2` } });
  },
  // Told of one that never answered.
  recovery_of_none: (history) => {
    const told = answerBehindDeath(history);
    const { intent_id, node_ids } = told.value.data as EventData<"DELIVERY_RECOVERED">;
    setState(history, intent_id, node_ids[0]!, "dead");
    history.record.events.push(told);
  },
};

/** Of a delivery that ended dead without any answer: others' letters are of earlier revisions, or have recovered, perhaps behind the end. */
function letterOfDead({ record }: History): Entry<DeadEntry> {
  const letters = new Map(record.deadLetters.map((letter) => [letter.subject, letter]));
  const answered = new Set(
    record.events.flatMap(({ value }) =>
      value.type === "NODE_RESPONDED" ? answersOf(value.data as EventData<"NODE_RESPONDED">) : [],
    ),
  );
  for (const { subject, value } of record.ends) {
    const id = subject.split(".")[3]!;
    const { targets } = record.intents.find((intent) => intent.subject.endsWith(id))!.value;
    for (const [at, { state }] of unpackDeliveries(value.deliveries).entries()) {
      const letter = letters.get(`dead.${id}.${targets[at]}`);
      if (state === "dead" && letter !== undefined && !answered.has(letter.subject)) return letter;
    }
  }
  throw new Error("no delivery ended dead without any answer");
}

const answersOf = ({ intent_id, responses }: EventData<"NODE_RESPONDED">): string[] =>
  responses.map(({ node_id }) => `dead.${intent_id}.${node_id}`);

/** A delivery that ended dead is said to have answered right behind its death. Returns the word of it, which is not in the log yet. */
function answerBehindDeath(history: History): Entry<Event> {
  const { record } = history;
  // Not of just any letter: what it told may have come back, and the log have the word of that.
  const [, intent, node] = letterOfDead(history).subject.split(".") as [string, string, string];
  setState(history, intent, node, "quoted");
  const died = record.events.find(
    ({ value }) =>
      value.type === "DELIVERY_DEAD_LETTERED" && (value.data as { node_ids: string[] }).node_ids.includes(node),
  )!;
  const data = { intent_id: intent, node_ids: [node], by: "quote" as const, attempts: 3 };
  const value = { ...died.value, id: `${died.value.id}1`, type: "DELIVERY_RECOVERED" as const, data };
  return { ...died, value };
}

const first = ({ record }: History, type: EventType): Entry<Event> =>
  record.events.find(({ value }) => value.type === type)!;

function drop({ record }: History, type: EventType): void {
  record.events.splice(
    record.events.findIndex(({ value }) => value.type === type),
    1,
  );
}

/** Behind the first one, as a second writer would. */
function double(history: History, type: EventType): void {
  const { events } = history.record;
  const found = first(history, type);
  events.splice(events.indexOf(found) + 1, 0, found);
}

/** One delivery that ended in `from` is said to have ended in `to`. Returns its node. */
function restate(history: History, from: DeliveryState, to: DeliveryState): string {
  const { end, intent, node } = endedAs(history, from);
  end.timeMs = Number.MAX_SAFE_INTEGER; // long after the answer
  setState(history, intent, node, to);
  return node;
}

/** The first delivery that ended so. */
function endedAs({ record }: History, state: DeliveryState): { end: End; intent: string; node: string } {
  for (const end of record.ends) {
    const at = unpackDeliveries(end.value.deliveries).findIndex((delivery) => delivery.state === state);
    if (at < 0) continue;
    const intent = end.subject.split(".")[3]!;
    const { targets } = record.intents.find(({ subject }) => subject.endsWith(intent))!.value;
    return { end, intent, node: targets[at]! };
  }
  throw new Error(`no delivery ended as ${state}`);
}

function setState({ record }: History, intent: string, node: string, to: DeliveryState): void {
  const end = record.ends.find(({ subject }) => subject.includes(intent))!;
  const { targets } = record.intents.find(({ subject }) => subject.endsWith(intent))!.value;
  const deliveries = unpackDeliveries(end.value.deliveries);
  deliveries[targets.indexOf(node)]!.state = to;
  end.value.deliveries = packDeliveries(deliveries);
}

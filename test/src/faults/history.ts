// What a fault test has seen, and the same by intent and by quote, for the checker.

import { type Event, type EventData, type EventType, parseTopic } from "@outcry/protocol";
import type { Post } from "./load.js";
import type { Entry, RecordCopy } from "./record.js";
import type { StoredReport } from "./sellers.js";

const OUTCOME_TYPES = new Set<EventType>(["QUOTE_RECEIVED", "QUOTE_REFUSED"]);

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

/** Names a rule that was broken, and where. */
export type Say = (rule: string, detail: string) => void;
export type Count = (name: string, by?: number) => void;

export interface IntentEntry {
  id: string;
  targets: string[];
  /** Of the newest revision. */
  deadlineMs: number;
  /** Digest of each revision, the first as it was posted; the last one counts. */
  digests: [string, ...string[]];
  revisions: RecordCopy["revisions"];
  /** In the log's order. */
  events: Entry<Event>[];
}

export interface Index {
  intents: Map<string, IntentEntry>;
  ends: Map<string, RecordCopy["ends"]>;
  /** Quote id → its outcomes. */
  outcomes: Map<string, Entry<Event>[]>;
  quotes: Map<string, RecordCopy["quotes"]>;
  dead: Map<string, RecordCopy["deadLetters"]>;
  doubled: string[];
}

export function indexRecord(record: RecordCopy): Index {
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
    index.intents.set(id, {
      id,
      targets: value.targets,
      deadlineMs: deadlineOf(value),
      digests: [value.request_digest],
      revisions: [],
      events: [],
    });
  }
  for (const revision of record.revisions) {
    const intent = index.intents.get(revision.subject.split(".")[3]!);
    if (intent === undefined) continue;
    intent.revisions.push(revision);
    intent.digests.push(revision.value.request_digest);
    intent.deadlineMs = deadlineOf(revision.value);
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

const deadlineOf = ({ envelope }: { envelope: string }): number =>
  Date.parse((JSON.parse(envelope) as { payload: { quote_deadline: string } }).payload.quote_deadline);

const push = <T>(map: Map<string, T[]>, key: string, value: T): void =>
  void (map.get(key)?.push(value) ?? map.set(key, [value]));
const quoteIdOf = ({ value }: Entry<Event>): string => (value.data as EventData<"QUOTE_RECEIVED">).quote_id;

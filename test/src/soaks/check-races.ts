// What the racers were told, held against the one end in the record; and the rule of quotes in both directions: counted if and
// only if stored by the deadline and at or below `quotes_through`. Pure. The rest of each intent is checkHistory's work.

import type { CheckReport, Violation } from "../faults/history.js";
import type { Entry, RecordCopy } from "../faults/record.js";
import { type Event, type EventData, parseRfc3339 } from "@outcry/protocol";

export type EndVerb = "cancel" | "close";

export interface Round {
  pairing: string;
  intentId: string;
  answers: { verb: EndVerb; status: number; code?: string; outcome?: string }[];
  /** What the node was told about the quote that it sent into the race. */
  quote?: { quoteId: string; told: string };
}

const OUTCOME = { cancel: "cancelled", close: "closed" } as const;

export function checkRaces(record: RecordCopy, rounds: readonly Round[]): CheckReport {
  const violations: Violation[] = [];
  const say = (rule: string, detail: string) => void violations.push({ rule, detail });
  const counts: Record<string, number> = {};
  const count = (name: string) => void (counts[name] = (counts[name] ?? 0) + 1);
  const races = indexRaces(record);
  for (const round of rounds) {
    const { pairing, intentId } = round;
    const end = races.ends.get(intentId);
    if (end === undefined) {
      say("end_missing", `${pairing} ${intentId}`);
      continue;
    }
    for (const answer of round.answers) checkAnswer(round, answer, end.value.outcome, say);
    const quote = round.quote === undefined ? "" : `, quote ${checkQuote(races, round, end, say)}`;
    count(`${pairing}: ${end.value.outcome}${quote}`);
  }
  return { violations, counts };
}

type Say = (rule: string, detail: string) => void;
type End = RecordCopy["ends"][number];

/** 200 with the outcome that is recorded, when it is the one that was asked for; else 409. */
function checkAnswer(round: Round, answer: Round["answers"][number], recorded: string, say: Say): void {
  const where = `${round.pairing} ${round.intentId}: ${JSON.stringify(answer)}, recorded ${recorded}`;
  const won = OUTCOME[answer.verb] === recorded;
  const told = won ? answer.status === 200 && answer.outcome === recorded : answer.code === "intent_ended";
  if (!told) say("answer_differs", where);
}

/** How the quote came out. */
function checkQuote({ quotes, deadlines, outcomes }: Races, round: Round, end: End, say: Say): string {
  const { quoteId, told } = round.quote!;
  const stored = quotes.get(quoteId);
  const where = `${round.pairing} ${round.intentId} ${quoteId}`;
  if ((told === "stored") !== (stored !== undefined)) say("told_differs", `${where}: told ${told}`);
  if (stored === undefined) return "not stored";
  const inTime = stored.timeMs <= deadlines.get(round.intentId)!;
  const through = stored.seq <= end.value.quotes_through;
  const found = outcomes.get(quoteId) ?? [];
  if (found.length !== 1) say("outcome_once", `${where}: ${found.map(({ type }) => type).join(" ") || "none"}`);
  const counted = found[0]?.type === "QUOTE_RECEIVED";
  if (counted && !(inTime && through)) say("late_counted", where);
  if (!counted && inTime && through) say("timely_refused", where);
  if (counted) return "counted";
  return inTime ? "behind the end" : "late";
}

interface Races {
  ends: Map<string, End>;
  quotes: Map<string, Entry<unknown>>;
  deadlines: Map<string, number>;
  outcomes: Map<string, Event[]>;
}

function indexRaces({ intents, ends, quotes, events }: RecordCopy): Races {
  const outcomes: Races["outcomes"] = new Map();
  for (const { value } of events) {
    if (value.type !== "QUOTE_RECEIVED" && value.type !== "QUOTE_REFUSED") continue;
    const { quote_id } = value.data as EventData<"QUOTE_RECEIVED">;
    outcomes.set(quote_id, [...(outcomes.get(quote_id) ?? []), value]);
  }
  const deadlines = new Map<string, number>();
  for (const { subject, value } of intents) {
    const { payload } = JSON.parse(value.envelope) as { payload: { quote_deadline: string } };
    deadlines.set(subject.split(".")[3]!, parseRfc3339(payload.quote_deadline)!);
  }
  return {
    ends: new Map(ends.map((end) => [end.subject.split(".")[3]!, end])),
    quotes: new Map(quotes.map((quote) => [quote.subject.split(".")[3]!, quote])),
    deadlines,
    outcomes,
  };
}

// Counts every pair of intent and node in three places that know nothing of each other – the ends' packed deliveries,
// DEAD_LETTERS, the events – and holds the three against each other and against what was asked. Pure.

import { unpackDeliveries } from "@outcry/delivery";
import type { EventData } from "@outcry/protocol";
import type { CheckReport, Violation } from "../faults/history.js";
import type { RecordCopy } from "../faults/record.js";

export interface Expected {
  intents: readonly string[];
  /** Every intent's targets. */
  nodes: readonly string[];
  /** Those that never answer. */
  silent: ReadonlySet<string>;
  attemptsMax: number;
}

const DELIVERED = new Set(["quoted", "declined", "rejected"]); // nothing expires here: no other state is final

/** How often each pair occurs. */
type Tally = Map<string, number>;
const add = (tally: Tally, intent: string, node: string): void => {
  const pair = `${intent} ${node}`;
  tally.set(pair, (tally.get(pair) ?? 0) + 1);
};

export function checkAccounts(record: RecordCopy, expected: Expected): CheckReport {
  const violations: Violation[] = [];
  const say = (rule: string, detail: string) => void violations.push({ rule, detail });
  const ends = countEnds(record, expected, say);
  const { letters, told, answered } = countElsewhere(record);

  const wanted = expected.intents.length * expected.nodes.length;
  const counts = { pairs: wanted, delivered: ends.delivered.size, "dead-lettered": ends.dead.size };
  if (counts.delivered + counts["dead-lettered"] !== wanted)
    say("sum", `${counts.delivered} delivered + ${counts["dead-lettered"]} dead of ${wanted}`);
  for (const intent of expected.intents) {
    for (const node of expected.nodes) {
      const pair = `${intent} ${node}`;
      const times = (ends.delivered.get(pair) ?? 0) + (ends.dead.get(pair) ?? 0);
      if (times !== 1) say("pair_once", `${pair}: ${times} times in the ends`);
    }
  }
  same("letters_differ", ends.dead, letters, say);
  same("told_differ", ends.dead, told, say);
  for (const pair of ends.delivered.keys()) if (!answered.has(pair)) say("delivered_unanswered", pair);
  for (const pair of answered) if (!ends.delivered.has(pair)) say("answered_undelivered", pair);
  return {
    violations,
    counts: { ...counts, letters: letters.size, "told dead": told.size, answered: answered.size, ...ends.attempts },
  };
}

type Say = (rule: string, detail: string) => void;

/** What the ends say, pair by pair. */
function countEnds({ intents, ends }: RecordCopy, expected: Expected, say: Say) {
  const targets = new Map(intents.map(({ subject, value }) => [subject.split(".")[3]!, value.targets]));
  const [delivered, dead]: [Tally, Tally] = [new Map(), new Map()];
  const attempts: Record<string, number> = {};
  for (const { subject, value } of ends) {
    const intent = subject.split(".")[3]!;
    for (const [at, { state, attempts: made }] of unpackDeliveries(value.deliveries).entries()) {
      const node = targets.get(intent)?.[at] ?? `#${at}`;
      const name = `after ${made} attempts`;
      attempts[name] = (attempts[name] ?? 0) + 1;
      if (state === "dead") add(dead, intent, node);
      else if (DELIVERED.has(state)) add(delivered, intent, node);
      if (made > expected.attemptsMax) say("attempts_exceeded", `${intent} ${node}: ${made}`);
      if ((state === "dead") !== expected.silent.has(node)) say("wrong_fate", `${intent} ${node}: ${state}`);
    }
  }
  return { delivered, dead, attempts };
}

function countElsewhere({ deadLetters, events }: RecordCopy) {
  const [letters, told]: [Tally, Tally] = [new Map(), new Map()];
  const answered = new Set<string>();
  for (const { subject, value } of deadLetters) {
    const [, intent, node] = subject.split(".");
    if (value.kind === "delivery") add(letters, intent!, node!);
  }
  for (const { value } of events) {
    if (value.type === "DELIVERY_DEAD_LETTERED") {
      const { intent_id, node_ids } = value.data as EventData<"DELIVERY_DEAD_LETTERED">;
      for (const node of node_ids) add(told, intent_id, node);
    }
    if (value.type !== "NODE_RESPONDED") continue;
    const { intent_id, responses } = value.data as EventData<"NODE_RESPONDED">;
    for (const { node_id } of responses) answered.add(`${intent_id} ${node_id}`);
  }
  return { letters, told, answered };
}

/** The same pairs, each once. */
function same(rule: string, one: Tally, other: Tally, say: Say): void {
  for (const [pair, times] of one)
    if (other.get(pair) !== times) say(rule, `${pair}: ${times}, ${other.get(pair) ?? 0}`);
  for (const [pair, times] of other) if (!one.has(pair)) say(rule, `${pair}: 0, ${times}`);
}

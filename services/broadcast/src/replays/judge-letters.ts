// Whether dead letters can be sent again now, and why not: from the letter's fate, the registry, the delivery rows and the record.

import { type Backbone, getBySeq } from "@outcry/backbone";
import { type DeadDelivery, type DeadMessage, type IntentBook, quoteOutcomes, readEnd } from "@outcry/delivery";
import type { DeliveryRow, DeliveryRows, RunKeeper } from "@outcry/jobs";
import {
  type Clock,
  LIMITS,
  type NodeRecord,
  type SkipReason,
  STREAMS,
  isId,
  parseIntentSubject,
  parseRfc3339,
} from "@outcry/protocol";
import type { FoundLetter } from "../dead-letters/find-letters.js";

const ROWS_PER_READ = 20; // a row of 10,000 targets is 310 kB
const MESSAGES_AT_ONCE = 32;

export interface JudgeDeps {
  backbone: Backbone;
  book: IntentBook;
  rows: DeliveryRows;
  run: RunKeeper;
  nodeStatus: (nodeId: string) => NodeRecord["status"] | undefined;
  clock: Clock;
}

/** In the order of the letters; undefined: it can be sent. */
export async function judgeLetters(
  deps: JudgeDeps,
  letters: readonly FoundLetter[],
): Promise<(SkipReason | undefined)[]> {
  const verdicts = letters.map((letter) => judgeAlone(deps, letter));
  const open = letters.flatMap(({ content }, at) =>
    verdicts[at] === undefined && content.kind === "delivery" ? [content.intent_id] : [],
  );
  const rows = await readRows(deps, [...new Set(open)]);
  for (let from = 0; from < letters.length; from += MESSAGES_AT_ONCE) {
    const part = letters.slice(from, from + MESSAGES_AT_ONCE).map(async ({ content }, at) => {
      const alone = verdicts[from + at];
      if (alone !== undefined) return alone;
      if (content.kind === "delivery") return judgeDelivery(deps, content, rows);
      return content.kind === "message" ? judgeMessage(deps, content) : undefined;
    });
    verdicts.splice(from, part.length, ...(await Promise.all(part)));
  }
  return verdicts;
}

/** What needs no reading. */
function judgeAlone({ nodeStatus, clock }: JudgeDeps, { fate, content }: FoundLetter): SkipReason | undefined {
  if (fate.recovered !== undefined || fate.replayed?.outcome === "handled") return "already_answered";
  if (fate.discarded !== undefined) return "discarded";
  if (content.kind === "webhook") return "use_webhook_recover";
  if (content.kind === "message") return undefined;
  // No intent is open for longer than this, and its letters are younger than it is.
  if (clock.now() - parseRfc3339(content.time)! > LIMITS.quoteWindowMaxMs) return "intent_ended";
  const status = nodeStatus(content.node_id);
  if (status === undefined) return "node_unknown";
  return status === "suspended" ? "node_suspended" : undefined;
}

type Rows = Map<string, { kind: "open"; row: DeliveryRow } | { kind: "ended" | "unknown" }>;

async function readRows({ rows, run }: JudgeDeps, intentIds: readonly string[]): Promise<Rows> {
  const found: Rows = new Map();
  for (let at = 0; at < intentIds.length; at += ROWS_PER_READ) {
    const part = intentIds.slice(at, at + ROWS_PER_READ);
    const read = await run.during(() => rows.readMany(part));
    part.forEach((id, index) => found.set(id, read[index]!));
  }
  return found;
}

async function judgeDelivery(
  { book, clock }: JudgeDeps,
  { intent_id, node_id }: DeadDelivery,
  rows: Rows,
): Promise<SkipReason | undefined> {
  const found = rows.get(intent_id)!;
  if (found.kind !== "open") {
    const gone = found.kind === "unknown" && (await book.get(intent_id)) === undefined;
    return gone ? "intent_unknown" : "intent_ended";
  }
  const { ending, deadlineMs, targets, deliveries } = found.row;
  if (ending !== undefined || clock.now() >= deadlineMs) return "intent_ended";
  const delivery = deliveries[targets.indexOf(node_id)];
  if (delivery?.state !== "dead") return "already_answered";
  return delivery.attempts >= LIMITS.attemptsCeiling ? "attempts_exhausted" : undefined;
}

async function judgeMessage(deps: JudgeDeps, { source }: DeadMessage): Promise<SkipReason | undefined> {
  const { backbone } = deps;
  if ((await getBySeq(backbone, source.stream, source.sequence)) === undefined) return "message_gone";
  if (source.stream === STREAMS.quotes) return judgeQuoteMessage(deps, source.subject);
  const intentId = parseIntentSubject(source.subject);
  const isEnd = source.subject.endsWith(".end");
  // An end that was not told is what a replay is for; an intent that has ended goes to no node any more.
  if (isEnd || intentId === undefined) return undefined;
  return (await readEnd(backbone, intentId)) === undefined ? undefined : "intent_ended";
}

/** One that was refused with its dead letter has its outcome, and its node was told. */
async function judgeQuoteMessage({ backbone, book }: JudgeDeps, subject: string): Promise<SkipReason | undefined> {
  const [, intentId, nodeId, quoteId] = subject.split(".");
  if (!isId("int", intentId) || nodeId === undefined || quoteId === undefined) return undefined;
  const intent = await book.get(intentId);
  if (intent === undefined) return undefined;
  return (await quoteOutcomes(backbone, intent, [{ quoteId, nodeId }])).has(quoteId) ? "already_answered" : undefined;
}

// The intake worker's job: one stored quote, judged once. Its outcome is one event; a repeated job finds it and changes nothing.

import type { Backbone } from "@outcry/backbone";
import {
  type EventLog,
  type EndRecord,
  type IntakeJobData,
  type IntentBook,
  type LoadedIntent,
  type NodeDirectory,
  type OutcomeReaders,
  type ResponseLog,
  readEnd,
} from "@outcry/delivery";
import type { DeliveryRows, JobContext, RunKeeper } from "@outcry/jobs";
import {
  type Clock,
  type Log,
  type Notice,
  OutcryError,
  type Quote,
  SUBJECTS,
  TOPICS,
  atRevision,
  buildEvent,
  revisionOf,
  toRfc3339,
} from "@outcry/protocol";
import { scoreQuote } from "@outcry/selection";
import { type Verdict, judgeQuote } from "./judge-quote.js";

const ENDING_POLL_MS = 20;
const ENDING_WAIT_MS = 5_000; // an ending whose process died is finished by a timer within this

export interface IngestDeps {
  backbone: Backbone;
  book: IntentBook;
  events: EventLog;
  responses: ResponseLog;
  rows: DeliveryRows;
  run: RunKeeper;
  outcomes: OutcomeReaders;
  nodes: Pick<NodeDirectory, "keysOf" | "refresh">;
  clock: Clock;
  log: Log;
  onOutcome?: (kind: "ranked" | "refused", code?: string) => void;
}

export async function ingestQuote(
  deps: IngestDeps,
  job: IntakeJobData,
  context: Pick<JobContext, "isRedelivered">,
): Promise<void> {
  const [, intentId, nodeId, quoteId] = job.subject.split(".") as [string, string, string, string];
  const repeated = context.isRedelivered || job.requeued === true;
  const known = await deps.book.get(intentId);
  if (repeated && (await hasOutcome(deps, known, { quoteId, nodeId }))) return;
  const { verdict, intent } =
    known === undefined ? { verdict: UNKNOWN, intent: known } : await judge(deps, job, nodeId, known);

  if (verdict.kind === "counts") await announce(deps, intent!, nodeId, verdict, job, repeated);
  else await refuse(deps, { intentId, nodeId, quoteId, intent }, verdict, repeated);
  deps.onOutcome?.(
    verdict.kind === "counts" ? "ranked" : "refused",
    verdict.kind === "refused" ? verdict.code : undefined,
  );
}

const UNKNOWN: Verdict = { kind: "refused", code: "quote_intent_unknown" };

interface Judged {
  verdict: Verdict;
  /** The revision by which it was judged. */
  intent: LoadedIntent;
}

/**
 * A key that is not known may have been registered a moment ago, and another revision recorded: both are asked for before the quote is
 * refused for good.
 */
async function judge(deps: IngestDeps, job: IntakeJobData, nodeId: string, known: LoadedIntent): Promise<Judged> {
  const { end, revision } = await endOf(deps, known.id);
  const judgeBy = async (intent: LoadedIntent): Promise<Judged> => ({
    intent,
    verdict: await judgeQuote({ job, nodeId, intent, end, keys: deps.nodes.keysOf(nodeId, job.storedMs) }),
  });
  const judged = await judgeBy(revision > known.revision ? await newest(deps, known) : known);
  switch (judged.verdict.kind === "refused" && judged.verdict.code) {
    case "key_unknown":
      await deps.nodes.refresh(nodeId);
      return judgeBy(judged.intent);
    case "quote_digest_mismatch":
      return judgeBy(await newest(deps, judged.intent));
    default:
      return judged;
  }
}

const newest = async ({ book }: IngestDeps, known: LoadedIntent): Promise<LoadedIntent> =>
  (await book.refresh(known.id)) ?? known;

/** Every attempt to judge it failed, and its node was told "stored": so it is refused, with its payload set aside. */
export async function refuseUnjudged(deps: IngestDeps, job: IntakeJobData): Promise<void> {
  const [, intentId, nodeId, quoteId] = job.subject.split(".") as [string, string, string, string];
  const intent = await deps.book.get(intentId);
  if (await hasOutcome(deps, intent, { quoteId, nodeId })) return;
  await refuse(deps, { intentId, nodeId, quoteId, intent }, { kind: "refused", code: "poison_message" }, true);
  deps.onOutcome?.("refused", "poison_message");
}

/** Judged again it might come out otherwise (a key was revoked meanwhile): the first outcome stands. */
async function hasOutcome(
  deps: IngestDeps,
  intent: LoadedIntent | undefined,
  quote: { quoteId: string; nodeId: string },
): Promise<boolean> {
  return intent !== undefined && (await deps.outcomes.of(intent).read([quote])).has(quote.quoteId);
}

/**
 * The end as far as it matters to this quote. When the row does not say "ending" after the quote was stored, the end's
 * `quotes_through` will be at or above it; when it does, the end is waited for. Without a row, or with one that a rebuild made
 * while the end was being recorded, the record alone knows.
 */
async function endOf(
  deps: IngestDeps,
  intentId: string,
): Promise<{ end: EndRecord | undefined; /** The newest that row or end know of. */ revision: number }> {
  const untilMs = deps.clock.now() + ENDING_WAIT_MS;
  for (;;) {
    const { ending, revision } = await deps.run.during(() => deps.rows.isEnding(intentId));
    if (ending === false) return { end: undefined, revision };
    const end = (await readEnd(deps.backbone, intentId))?.end;
    if (end !== undefined) return { end, revision: revisionOf(end) };
    if (ending === undefined) return { end, revision };
    if (deps.clock.now() > untilMs) throw new OutcryError("timed_out", `${intentId} is ending and has no end yet`);
    await new Promise((resolve) => setTimeout(resolve, ENDING_POLL_MS));
  }
}

type Counts = Extract<Verdict, { kind: "counts" }>;

async function announce(
  deps: IngestDeps,
  intent: LoadedIntent,
  nodeId: string,
  { quote, digest }: Counts,
  job: IntakeJobData,
  repeated: boolean,
): Promise<void> {
  await deps.responses.add(intent, {
    node_id: nodeId,
    kind: "quote",
    status: "quoted",
    quote_id: quote.id,
    received_at: toRfc3339(job.storedMs),
  });
  const { payload } = quote;
  const budget = intent.intent.payload.budget;
  const event = buildEvent(
    "QUOTE_RECEIVED",
    {
      intent_id: intent.id,
      ...atRevision(intent.revision),
      quote_id: quote.id,
      node_id: nodeId,
      quote_type: payload.quote_type,
      total: payload.total,
      valid_until: payload.valid_until,
      digest,
      ordinal: payload.ordinal,
      ...(payload.supersedes === undefined ? {} : { supersedes: payload.supersedes }),
      explanation: explain(quote, budget?.max_minor),
    },
    { topic: intent.topic, traceId: intent.intent.trace_id, key: [quote.id], clock: deps.clock },
  );
  const { kind } = await deps.events.append(event, { repeated, decides: outcomeOf(quote.id) });
  if (kind === "in_log") tellNode(deps, nodeId, { type: "quote_ranked", intent_id: intent.id, quote_id: quote.id });
}

const explain = (quote: Quote, budgetMinor: number | undefined) =>
  scoreQuote({ totalMinor: quote.payload.total.amount_minor, quoteType: quote.payload.quote_type }, { budgetMinor })
    .explanation;

interface Refused {
  intentId: string;
  nodeId: string;
  quoteId: string;
  intent: LoadedIntent | undefined;
}

async function refuse(
  deps: IngestDeps,
  refused: Refused,
  verdict: Extract<Verdict, { kind: "refused" }>,
  repeated: boolean,
): Promise<void> {
  const { intentId, nodeId, quoteId, intent } = refused;
  const detail = verdict.detail ?? new OutcryError(verdict.code).detail;
  const event = buildEvent(
    "QUOTE_REFUSED",
    { intent_id: intentId, quote_id: quoteId, node_id: nodeId, code: verdict.code, detail },
    {
      topic: TOPICS.node(nodeId),
      traceId: intent?.intent.trace_id ?? "0".repeat(31) + "1",
      key: [quoteId],
      clock: deps.clock,
    },
  );
  const { kind } = await deps.events.append(event, { repeated, decides: outcomeOf(quoteId) });
  if (kind === "in_log")
    tellNode(deps, nodeId, {
      type: "quote_refused",
      intent_id: intentId,
      quote_id: quoteId,
      code: verdict.code,
      detail,
    });
}

/**
 * Two workers may judge one quote at a time: a stalled job runs again, a rebuild puts it back. An amendment, or the end, in between lets
 * them come out otherwise.
 */
const outcomeOf = (quoteId: string): string => `outcome:${quoteId}`;

/** A hint, at most once; the durable word is the event. */
function tellNode(deps: IngestDeps, nodeId: string, notice: Notice): void {
  if (deps.backbone.health.up) deps.backbone.publish(SUBJECTS.nodeNotice(nodeId), Buffer.from(JSON.stringify(notice)));
}

// Where an intent stands, for readers: the delivery row while it is open, the record once it has ended. Writes nothing.

import type { Backbone } from "@outcry/backbone";
import {
  type EndRecord,
  type FoldedDelivery,
  type IntentBook,
  type LoadedIntent,
  type QuoteOutcome,
  type StoredQuote,
  countDeliveries,
  foldIntent,
  quoteOutcomes,
  readEnd,
  readTopic,
  revisionsOf,
  storedQuotes,
  unpackDeliveries,
} from "@outcry/delivery";
import type { DeliveryRows, RunKeeper } from "@outcry/jobs";
import {
  type AcksView,
  type Clock,
  type DeliveryState,
  type IntentStatus,
  type IntentView,
  type PackedDelivery,
  type Quote,
  type QuotesView,
  type Receipt,
  receiptId,
  revisionOf,
  toRfc3339,
} from "@outcry/protocol";
import { type RankableQuote, rankQuotes } from "@outcry/selection";

const POLL_MS = 40; // of a long poll: one script call each

export interface ReadDeps {
  backbone: Backbone;
  book: IntentBook;
  rows: DeliveryRows;
  run: RunKeeper;
  clock: Clock;
}

type Ended = { end: EndRecord; storedMs: number } | undefined;

export interface Standing {
  /** The newest revision, or the one that has ended. */
  intent: LoadedIntent;
  ended: Ended;
  deliveries: PackedDelivery[];
}

/** Deliveries in the order of the targets. */
export async function standing(deps: ReadDeps, known: LoadedIntent): Promise<Standing> {
  const ended = await readEnd(deps.backbone, known.id);
  if (ended !== undefined) return standingAtEnd(deps, known, ended);
  const found = await deps.run.during(() => deps.rows.read(known.id));
  if (found.kind === "open") {
    const { revision, deliveries } = found.row;
    const intent = await atLeast(deps, known, revision);
    // An amendment that is recorded and not yet on its way: all of its deliveries are to come.
    return { intent, ended, deliveries: intent.revision === revision ? deliveries : notSent(intent) };
  }
  // Recorded and not yet dispatched, or ended between the two reads.
  const again = found.kind === "ended" ? await readEnd(deps.backbone, known.id) : undefined;
  return again === undefined ? { intent: known, ended, deliveries: notSent(known) } : standingAtEnd(deps, known, again);
}

async function standingAtEnd(deps: ReadDeps, known: LoadedIntent, ended: NonNullable<Ended>): Promise<Standing> {
  const intent = await atLeast(deps, known, revisionOf(ended.end));
  return { intent, ended, deliveries: unpackDeliveries(ended.end.deliveries) };
}

/** Another process may have amended it since it was loaded here: row and end say which revision they are of. */
async function atLeast({ book }: ReadDeps, known: LoadedIntent, revision: number): Promise<LoadedIntent> {
  return revision > known.revision ? ((await book.refresh(known.id)) ?? known) : known;
}

const notSent = ({ record }: LoadedIntent): PackedDelivery[] =>
  record.targets.map(() => ({ state: "pending", attempts: 0 }));

export async function viewIntent(deps: ReadDeps, known: LoadedIntent): Promise<IntentView> {
  const { intent, ended, deliveries } = await standing(deps, known);
  const { record } = intent;
  return {
    id: intent.id,
    status: statusOf(ended),
    created: revisionsOf(intent)[0].intent.created,
    quote_deadline: intent.intent.payload.quote_deadline,
    ...(ended === undefined ? {} : { ended: toRfc3339(ended.storedMs) }),
    request_digest: record.request_digest,
    signature: record.signature,
    revision: intent.revision,
    intent: intent.intent,
    ...(record.buyer_id === undefined ? {} : { buyer_id: record.buyer_id }),
    routing: record.routing,
    registry_revision: record.registry_revision,
    deliveries: countDeliveries(deliveries),
    links: linksOf(intent.id),
  };
}

export const statusOf = (ended: Ended): IntentStatus => ended?.end.outcome ?? "open";

export const linksOf = (id: string): Record<string, string> => ({
  self: `/v1/intents/${id}`,
  acks: `/v1/intents/${id}/acks`,
  receipts: `/v1/intents/${id}/receipts`,
  quotes: `/v1/intents/${id}/quotes`,
  timeline: `/v1/intents/${id}/timeline`,
  amend: `/v1/intents/${id}/amend`,
  cancel: `/v1/intents/${id}/cancel`,
});

/** Waits until no target is pending, the intent has ended, or the time is up. */
export async function viewAcks(
  deps: ReadDeps,
  intent: LoadedIntent,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<AcksView> {
  const untilMs = deps.clock.now() + timeoutMs;
  let now = await standing(deps, intent);
  while (!isComplete(now) && deps.clock.now() < untilMs && !signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    now = await standing(deps, intent);
  }
  const details = await historyOf(deps, intent);
  return {
    intent_id: intent.id,
    complete: isComplete(now),
    counts: countDeliveries(now.deliveries),
    acks: intent.record.targets.map((node, index) => {
      const { state, attempts } = now.deliveries[index]!;
      return { node_id: node, status: state, attempts, ...reasonOf(details.get(node), state) };
    }),
  };
}

const isComplete = ({ ended, deliveries }: Standing): boolean =>
  ended !== undefined || deliveries.every(({ state }) => state !== "pending");

export async function viewReceipts(deps: ReadDeps, intent: LoadedIntent): Promise<Receipt[]> {
  const { ended, deliveries } = await standing(deps, intent);
  const details = await historyOf(deps, intent);
  return intent.record.targets.map((node, index) => {
    const { state, attempts } = deliveries[index]!;
    const at = details.get(node)?.respondedAt;
    return {
      receipt_id: receiptId(intent.id, node),
      intent_id: intent.id,
      node_id: node,
      status: state,
      attempts,
      final: ended !== undefined,
      ...reasonOf(details.get(node), state),
      ...(at === undefined ? {} : { responded_at: at }),
    };
  });
}

async function historyOf(deps: ReadDeps, intent: LoadedIntent): Promise<Map<string, FoldedDelivery>> {
  return foldIntent(intent.record.targets, await readTopic(deps.backbone, intent.topic)).deliveries;
}

/** The reason belongs to the state it was given for. */
const reasonOf = (delivery: FoldedDelivery | undefined, state: DeliveryState): { reason?: string } =>
  delivery?.reason !== undefined && delivery.state === state ? { reason: delivery.reason } : {};

/** Ranked by a method that anyone can recompute; the rest with the reason why it is not ranked. */
export async function viewQuotes(deps: ReadDeps, known: LoadedIntent): Promise<QuotesView> {
  const ended = await readEnd(deps.backbone, known.id);
  const intent =
    ended === undefined
      ? ((await deps.book.refresh(known.id)) ?? known)
      : await atLeast(deps, known, revisionOf(ended.end));
  const stored = await storedQuotes(deps.backbone, intent.id);
  const outcomes = await quoteOutcomes(deps.backbone, intent, stored);
  const counting = stored.filter(
    (found): found is ReadableQuote =>
      found.quote?.request_digest === intent.record.request_digest &&
      outcomes.get(found.quoteId)?.kind === "received" &&
      found.seq <= (ended?.end.quotes_through ?? Infinity),
  );
  const { payload } = intent.intent;
  const { ranked, unranked } = rankQuotes(
    counting.map((counted) => ({ ...rankable(counted), stored: counted })),
    { budgetMinor: payload.budget?.max_minor, quotesPerNodeMax: payload.quotes_per_node_max },
  );
  const why = new Map<string, string>(unranked.map(({ quote, reason }) => [quote.id, reason]));
  const inRanking = new Set(ranked.map(({ quote }) => quote.id));
  return {
    intent_id: intent.id,
    status: statusOf(ended),
    method: "outcry.rank.v1",
    quotes: ranked.map(({ rank, explanation, quote: { stored: found } }) => ({
      rank,
      ...placeOf(found),
      explanation,
      quote: found.quote,
      signature: found.signature,
    })),
    unranked: stored
      .filter(({ quoteId }) => !inRanking.has(quoteId))
      .map((found) => ({
        ...placeOf(found),
        code: why.get(found.quoteId) ?? codeOf(intent, found, outcomes.get(found.quoteId)),
      })),
  };
}

type ReadableQuote = StoredQuote & { quote: Quote };

const placeOf = ({ quoteId, nodeId, storedMs }: StoredQuote) => ({
  quote_id: quoteId,
  node_id: nodeId,
  stored_at: toRfc3339(storedMs),
});

const rankable = ({ quoteId, nodeId, seq, quote: { payload } }: ReadableQuote): RankableQuote => ({
  id: quoteId,
  nodeId,
  storedSeq: seq,
  totalMinor: payload.total.amount_minor,
  quoteType: payload.quote_type,
  supersedes: payload.supersedes,
});

function codeOf({ earlier }: LoadedIntent, { quote }: StoredQuote, outcome: QuoteOutcome | undefined): string {
  if (outcome === undefined) return "processing";
  if (quote !== undefined && earlier.has(quote.request_digest)) return "superseded";
  return outcome.kind === "refused" ? outcome.code : "intent_ended";
}

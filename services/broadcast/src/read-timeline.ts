// What happened to an intent, step by step: its record, its topic and its quotes, put together for reading. Writes nothing.

import {
  type LoadedIntent,
  type QuoteOutcome,
  type StoredQuote,
  foldIntent,
  quoteOutcomes,
  readTopic,
  storedQuotes,
} from "@outcry/delivery";
import {
  type DeliveryState,
  type Event,
  type EventData,
  type PackedDelivery,
  type TimelineNode,
  type TimelineStage,
  type TimelineView,
  atRevision,
  parseRfc3339,
  revisionOf,
  toRfc3339,
} from "@outcry/protocol";
import { type ReadDeps, standing, statusOf } from "./read-intent.js";

export interface TimelineRequest {
  /** Only this target. */
  nodeId?: string;
  /** Place of the first target of the page. */
  from: number;
  limit: number;
}

interface Sources {
  intent: LoadedIntent;
  events: Event[];
  quotes: StoredQuote[];
  outcomes: ReadonlyMap<string, QuoteOutcome>;
}

export async function readTimeline(
  deps: ReadDeps,
  known: LoadedIntent,
  request: TimelineRequest,
): Promise<TimelineView> {
  const { intent, ended, deliveries } = await standing(deps, known);
  const [events, quotes] = [await readTopic(deps.backbone, intent.topic), await storedQuotes(deps.backbone, intent.id)];
  const sources = { intent, events, quotes, outcomes: await quoteOutcomes(deps.backbone, intent, quotes) };
  const { targets } = intent.record;
  const asked = request.nodeId === undefined ? targets : targets.filter((node) => node === request.nodeId);
  const page = asked.slice(request.from, request.from + request.limit);
  const next = request.from + page.length;
  return {
    intent_id: intent.id,
    status: statusOf(ended),
    trace_id: intent.intent.trace_id,
    request_id: intent.record.request_id,
    recorded_at: toRfc3339(intent.storedMs),
    quote_deadline: intent.intent.payload.quote_deadline,
    stages: stagesOf(sources),
    nodes: nodesOf(sources, page, deliveries),
    has_more: next < asked.length,
    ...(next < asked.length ? { next_cursor: String(next) } : {}),
  };
}

function stagesOf({ intent, events }: Sources): TimelineStage[] {
  const recorded = {
    stage: "RECORDED",
    time: toRfc3339(intent.storedMs),
    after_ms: 0,
    nodes: intent.record.targets.length,
  };
  const told = events.filter(({ type }) => type !== "NODE_RESPONDED").map((event) => stageOf(intent, event));
  return [recorded, ...told];
}

/** The fields that events share by name; what only one type has is read in the event itself. */
interface CommonData {
  revision?: number;
  attempt?: number;
  attempts?: number;
  node_ids?: string[];
  targets?: number;
  node_id?: string;
  quote_id?: string;
  cause?: string;
  reason?: string;
}

function stageOf(intent: LoadedIntent, { type, time, data }: Event): TimelineStage {
  const { revision, attempt, attempts, node_ids, targets, node_id, quote_id, cause, reason } = data as CommonData;
  const made = attempt ?? attempts;
  const nodes = node_ids?.length ?? targets;
  const detail = cause ?? reason;
  return {
    stage: type,
    ...at(intent, time),
    ...(revision === undefined ? {} : { revision }),
    ...(made === undefined ? {} : { attempt: made }),
    ...(nodes === undefined ? {} : { nodes }),
    ...(node_id === undefined ? {} : { node_id }),
    ...(quote_id === undefined ? {} : { quote_id }),
    ...(detail === undefined ? {} : { detail }),
  };
}

const at = ({ storedMs }: LoadedIntent, time: string): { time: string; after_ms: number } => ({
  time,
  after_ms: parseRfc3339(time)! - storedMs,
});

function nodesOf(sources: Sources, page: readonly string[], deliveries: readonly PackedDelivery[]): TimelineNode[] {
  const { intent, events } = sources;
  const wanted = new Map(page.map((node) => [node, emptyNode(node, deliveries[intent.indexOf.get(node)!]!.state)]));
  for (const event of events) addEvent(intent, wanted, event);
  addUntoldAttempts(intent, events, wanted);
  for (const quote of sources.quotes) wanted.get(quote.nodeId)?.quotes.push(quoteOf(sources, quote));
  return [...wanted.values()];
}

const emptyNode = (node_id: string, state: DeliveryState): TimelineNode => ({
  node_id,
  state,
  attempts: [],
  answers: [],
  quotes: [],
});

function addEvent(intent: LoadedIntent, wanted: Map<string, TimelineNode>, { type, time, data }: Event): void {
  const of = atRevision(revisionOf(data as { revision?: number }));
  switch (type) {
    case "INTENT_BROADCASTED":
      for (const node of wanted.values()) node.attempts.push({ ...of, attempt: 1, ...at(intent, time) });
      return;
    case "DELIVERY_RETRYING":
    case "DELIVERY_REPLAYED": {
      const { node_ids, attempt } = data as EventData<"DELIVERY_RETRYING" | "DELIVERY_REPLAYED">;
      for (const id of node_ids) wanted.get(id)?.attempts.push({ ...of, attempt, ...at(intent, time) });
      return;
    }
    case "NODE_RESPONDED":
      for (const answer of (data as EventData<"NODE_RESPONDED">).responses) {
        const node = wanted.get(answer.node_id);
        if (node !== undefined) addAnswer(intent, node, { ...of, ...answer });
      }
      return;
    default:
      return;
  }
}

/** An answer may be told twice after a crash: the first counts. */
function addAnswer(
  intent: LoadedIntent,
  node: TimelineNode,
  answer: EventData<"NODE_RESPONDED">["responses"][number] & { revision?: number },
): void {
  const { revision, kind, status, reason, attempt, quote_id, received_at } = answer;
  const known = node.answers.some(
    (one) => one.kind === kind && one.status === status && one.quote_id === quote_id && one.revision === revision,
  );
  if (known) return;
  node.answers.push({
    ...(revision === undefined ? {} : { revision }),
    kind,
    status,
    ...(reason === undefined ? {} : { reason }),
    ...(attempt === undefined ? {} : { attempt }),
    ...(quote_id === undefined ? {} : { quote_id }),
    ...at(intent, received_at),
  });
}

/** An attempt whose event is not there (yet) shows without a time: its fan-out is under way, or its process died over it. */
function addUntoldAttempts(intent: LoadedIntent, events: readonly Event[], wanted: Map<string, TimelineNode>): void {
  const folded = foldIntent(intent.record.targets, events);
  const of = atRevision(folded.revision);
  const newest = (one: { revision?: number | undefined }) => revisionOf(one) === folded.revision;
  for (const node of wanted.values()) {
    const answered = Math.max(0, ...node.answers.filter(newest).map(({ attempt }) => attempt ?? 1));
    const made = Math.max(folded.deliveries.get(node.node_id)!.attempts, answered);
    const known = new Set(node.attempts.filter(newest).map(({ attempt }) => attempt));
    for (let attempt = 1; attempt <= made; attempt++) if (!known.has(attempt)) node.attempts.push({ ...of, attempt });
    node.attempts.sort((one, other) => revisionOf(one) - revisionOf(other) || one.attempt - other.attempt);
  }
}

function quoteOf({ intent, outcomes }: Sources, quote: StoredQuote): TimelineNode["quotes"][number] {
  const outcome = outcomes.get(quote.quoteId);
  return {
    ...atRevision(revisionOf(quote.quote?.payload ?? {})),
    quote_id: quote.quoteId,
    stored_at: toRfc3339(quote.storedMs),
    after_ms: quote.storedMs - intent.storedMs,
    outcome: outcome?.kind ?? "processing",
    ...(outcome?.kind === "refused" ? { code: outcome.code } : {}),
  };
}

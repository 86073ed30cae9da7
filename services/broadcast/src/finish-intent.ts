// What follows from a recorded end: its event behind all others of the intent, the row's tombstone, and on a cancel the word to nodes.

import { type Appender, type Backbone, type Stored, readBatch } from "@outcry/backbone";
import {
  type EndRecord,
  type EventLog,
  type IntentBook,
  type LoadedIntent,
  OutcomeReader,
  countDeliveries,
  decodeEndRecord,
  decodeEvent,
  foldIntent,
  readTopic,
  storedQuotes,
  tellRecovered,
  unpackDeliveries,
} from "@outcry/delivery";
import type { DeliveryRows, RunKeeper } from "@outcry/jobs";
import {
  type Clock,
  END_EVENTS,
  type DeliveryState,
  type EventData,
  type Log,
  type Outcome,
  STREAMS,
  SUBJECTS,
  buildCancel,
  buildEvent,
  canonicalize,
  derivedId,
  parseIntentSubject,
  revisionOf,
} from "@outcry/protocol";
import { type SigningKey, signEnvelope } from "@outcry/signing";
import { writeLetters } from "./dead-letter.js";
import { appendBroadcasted, appendCreated } from "./dispatch-intent.js";
import type { KnownIntents } from "./known-intents.js";
import { tellAmendments } from "./tell-amendments.js";

// How long the end event waits for quotes that are still being judged: a killed worker's job runs again after about 10 s.
const JUDGED_WITHIN_MS = 30_000;
const JUDGED_POLL_MS = 25; // doubles up to
const JUDGED_POLL_MAX_MS = 6_400; // a backlog has many ends wait, and each look reads the topics of the nodes too

export interface FinishDeps {
  backbone: Backbone;
  book: IntentBook;
  events: EventLog;
  rows: DeliveryRows;
  run: RunKeeper;
  ended: KnownIntents;
  broadcasted: KnownIntents;
  deadLetters: Appender;
  signingKey: SigningKey;
  clock: Clock;
  log: Log;
  ackTimeoutMs: number;
  onDead?: (cause: string, nodes: number) => void;
  onEnded?: (outcome: Outcome, counts: Record<DeliveryState, number>) => void;
}

export async function finishIntent(deps: FinishDeps, stored: Stored, repeated: boolean): Promise<void> {
  const end = decodeEndRecord(stored.data);
  const intent = await endedIntent(deps, parseIntentSubject(stored.subject)!, revisionOf(end));
  if (intent === undefined) throw new TypeError(`an end without its intent: ${stored.subject}`);
  deps.ended.add(intent.id);
  await appendCreated(deps, intent); // cancelled before it was dispatched: its first event is still its creation
  await tellAmendments(deps, intent);
  await broadcastTold(deps, intent, end);
  await lettersWritten(deps, intent, end);
  await quotesJudged(deps, intent, end);
  await recoveriesTold(deps, intent, end, stored);
  await appendEnd(deps, intent, end, repeated);
  await deps.run.during(() => deps.rows.finishEnd(intent.id));
  if (end.outcome === "cancelled") await tellNodes(deps, intent, end);
  deps.onEnded?.(end.outcome, countDeliveries(unpackDeliveries(end.deliveries)));
}

async function endedIntent({ book }: FinishDeps, id: string, revision: number): Promise<LoadedIntent | undefined> {
  const known = await book.get(id);
  return known !== undefined && known.revision < revision ? book.refresh(id) : known;
}

/** An intent that was answered at once may end before its dispatcher has told the broadcast, or died over it: told here. */
async function broadcastTold(deps: FinishDeps, intent: LoadedIntent, end: EndRecord): Promise<void> {
  if (
    !wasSent(end) ||
    deps.broadcasted.has(intent.record.request_digest) ||
    (await hasBroadcasted(deps.backbone, intent))
  )
    return;
  await appendBroadcasted(deps, intent, true);
}

const wasSent = (end: EndRecord): boolean => unpackDeliveries(end.deliveries).some(({ attempts }) => attempts > 0);

/** It stands among the first events, behind the creation and perhaps a few answers; an amendment's stands anywhere. */
async function hasBroadcasted(backbone: Backbone, intent: LoadedIntent): Promise<boolean> {
  if (intent.revision > 0)
    return foldIntent(intent.record.targets, await readTopic(backbone, intent.topic)).broadcasted;
  const { messages } = await readBatch(backbone, STREAMS.events, { seq: 1, filter: intent.topic, batch: 16 });
  return messages.some(({ data }) => decodeEvent(data).type === "INTENT_BROADCASTED");
}

/** Who gave the deliveries up may have died, or met the end, before their letters were written. */
async function lettersWritten(deps: FinishDeps, intent: LoadedIntent, end: EndRecord): Promise<void> {
  const deliveries = unpackDeliveries(end.deliveries);
  if (!deliveries.some(({ state }) => state === "dead")) return;
  await writeLetters(deps, intent, deliveries, await readTopic(deps.backbone, intent.topic));
}

/** Readers expect the end last: quotes that are still being judged come before it. Bounded: a judge may be away. */
async function quotesJudged(deps: FinishDeps, intent: LoadedIntent, end: EndRecord): Promise<void> {
  const stored = await storedQuotes(deps.backbone, intent.id);
  const counting = stored.filter((quote) => quote.seq <= end.quotes_through && quote.storedMs <= intent.deadlineMs);
  const untilMs = deps.clock.now() + JUDGED_WITHIN_MS;
  // Behind a backlog many ends wait at once: none of them may read its whole topic at each look.
  const reader = new OutcomeReader(deps.backbone, intent);
  let waiting = counting;
  for (let pollMs = JUDGED_POLL_MS; waiting.length > 0 && deps.clock.now() < untilMs;) {
    const outcomes = await reader.read(waiting);
    waiting = waiting.filter(({ quoteId }) => !outcomes.has(quoteId));
    if (waiting.length === 0) return;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
    pollMs = Math.min(2 * pollMs, JUDGED_POLL_MAX_MS);
  }
}

/** Who recorded the answer of a dead delivery may have died before telling it. Before the first retry is due nothing is dead. */
async function recoveriesTold(deps: FinishDeps, intent: LoadedIntent, end: EndRecord, stored: Stored): Promise<void> {
  if (stored.time - intent.storedMs < deps.ackTimeoutMs) return;
  const deliveries = unpackDeliveries(end.deliveries);
  const { targets } = intent.record;
  const alive = targets.filter((_, index) => deliveries[index]!.state !== "dead");
  const quoted = targets.filter((_, index) => deliveries[index]!.state === "quoted");
  await tellRecovered(deps, intent, alive, quoted);
}

async function appendEnd(deps: FinishDeps, intent: LoadedIntent, end: EndRecord, repeated: boolean): Promise<void> {
  const data = {
    intent_id: intent.id,
    counts: countDeliveries(unpackDeliveries(end.deliveries)),
    ...(end.reason === undefined ? {} : { reason: end.reason }),
  };
  const options = { topic: intent.topic, traceId: intent.intent.trace_id, key: [intent.id], clock: deps.clock };
  const event = buildEvent(END_EVENTS[end.outcome], data, options);
  const decides = await firstBroadcastUntold(deps, intent, end);
  const { kind } = await deps.events.append(event, { repeated, ...(decides === undefined ? {} : { decides }) });
  if (kind === "decided") await deps.events.append(event, { repeated: true }); // told meanwhile, or this is a repetition
}

/**
 * Id of the first revision's INTENT_BROADCASTED, where it may still be on its way: a fresh dispatch tells it without a look at the topic.
 * The end takes its place in the server's duplicate window, so that what comes later is not stored behind it.
 */
async function firstBroadcastUntold(
  { backbone }: FinishDeps,
  intent: LoadedIntent,
  end: EndRecord,
): Promise<string | undefined> {
  if (intent.revision === 0 && wasSent(end)) return undefined; // told above
  const told = (await readTopic(backbone, intent.topic)).some(
    ({ type, data }) => type === "INTENT_BROADCASTED" && revisionOf(data as EventData<"INTENT_BROADCASTED">) === 0,
  );
  return told ? undefined : derivedId("evt", "INTENT_BROADCASTED", intent.id);
}

/** At most once: a node that misses it sees its quote refused with intent_ended. */
async function tellNodes(deps: FinishDeps, intent: LoadedIntent, end: EndRecord): Promise<void> {
  const cancel = buildCancel(intent.intent, intent.record.request_digest, end.reason ?? "cancelled", deps.clock);
  const bytes = canonicalize(cancel);
  const headers = {
    "Outcry-Signature": signEnvelope(bytes, "cancel", deps.signingKey).jws,
    traceparent: intent.record.traceparent,
  };
  for (const node of intent.record.targets) deps.backbone.publish(SUBJECTS.nodeCancel(node), bytes, { headers });
  await deps.backbone.flush();
}

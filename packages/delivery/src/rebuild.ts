// Rebuilds what Redis held from the record (DESIGN "Rebuild"): rows and timers of intents that were told and have no end, timers of
// running replays, and quotes without an outcome back into the intake queue. Runs under the lease of @outcry/jobs; nothing else writes
// meanwhile.

import { type Backbone, type Stored, readAll, seqAtTime } from "@outcry/backbone";
import type { IntakeJob, IntakeQueue, Rebuilt, RebuildRow, RebuildWriter } from "@outcry/jobs";
import {
  type Clock,
  type Event,
  type EventData,
  LIMITS,
  type Log,
  STREAMS,
  SUBJECTS,
  parseIntentSubject,
  parseTopic,
} from "@outcry/protocol";
import { decodeEvent } from "./read-topic.js";
import { foldIntent } from "./fold-intent.js";
import { type LoadedIntent, amendIntent, openIntent, revisionsOf } from "./intent-book.js";
import { type IntakeJobData, intakeJob } from "./intake-job.js";
import { readReplays } from "./replay-record.js";

const ROWS_PER_WRITE = 100;
const JOBS_PER_WRITE = 500;
const UNDISPATCHED_MS = 2_000;
const ANSWER_MS = LIMITS.ackTimeoutMs; // what was sent a moment ago may still be answered
// Older quotes have their outcome unless the service was away for longer than an intent can be open.
const QUOTES_WITHOUT_OUTCOME_MS = LIMITS.quoteWindowMaxMs + 60 * 60_000;

export interface RebuildDeps {
  backbone: Backbone;
  queue: IntakeQueue<IntakeJobData>;
  clock: Clock;
  log: Log;
}

export async function rebuildFromRecord(deps: RebuildDeps, write: RebuildWriter): Promise<Rebuilt> {
  const { clock, log } = deps;
  const { open, throughSeq } = await openIntents(deps);
  const sinceMs = Math.min(
    clock.now() - QUOTES_WITHOUT_OUTCOME_MS,
    ...[...open.values()].map((intent) => intent.storedMs - LIMITS.clockSkewMs),
  );
  const { histories, judged } = await readHistories(deps, open, sinceMs);

  const rows: RebuildRow[] = [];
  for (const intent of open.values()) {
    const row = rowOf(intent, histories.get(intent.id) ?? [], clock.now());
    if (row !== undefined) rows.push(row);
    if (rows.length === ROWS_PER_WRITE) await write.putRows(rows.splice(0));
  }
  await write.putRows(rows);
  const replays = (await readReplays(deps.backbone)).filter(({ state }) => state.status === "running");
  for (const { state } of replays) await write.putTimer({ kind: "replay", intentId: state.id }, clock.now());
  const requeued = await requeueQuotes(deps, judged, sinceMs);
  // An empty record is the first start; anything else was lost by Redis, which an operator wants to know.
  log[open.size + requeued > 0 ? "warn" : "info"]({ intents: open.size, quotes: requeued }, "rebuilt from the record");
  return { throughSeq };
}

/** One pass: an end takes its intent out again, so only open ones are held. */
async function openIntents({ backbone, log }: RebuildDeps) {
  const open = new Map<string, LoadedIntent>();
  let throughSeq = 0;
  for await (const stored of readAll(backbone, STREAMS.intents)) {
    throughSeq = stored.seq;
    const id = parseIntentSubject(stored.subject);
    if (id === undefined) continue;
    if (stored.subject.endsWith(".end")) open.delete(id);
    else {
      const standing = open.get(id);
      const isFirst = stored.subject === SUBJECTS.intent(id);
      if (!isFirst && standing === undefined) continue;
      const intent = readable(log, stored, isFirst ? openIntent : (revision) => amendIntent(standing!, revision));
      if (intent !== undefined) open.set(id, intent);
    }
  }
  return { open, throughSeq };
}

/** What cannot be read was or will be set aside by the consumer of its stream: a rebuild goes on without it. */
function readable<T>(log: Log, stored: Stored, read: (stored: Stored) => T): T | undefined {
  try {
    return read(stored);
  } catch (error) {
    log.error({ err: error, stream: stored.stream, seq: stored.seq }, "rebuild: a message cannot be read");
    return undefined;
  }
}

async function readHistories({ backbone, log }: RebuildDeps, open: Map<string, LoadedIntent>, sinceMs: number) {
  const histories = new Map<string, Event[]>();
  const judged = new Set<string>();
  const fromSeq = await seqAtTime(backbone, STREAMS.events, sinceMs);
  for await (const stored of readAll(backbone, STREAMS.events, { fromSeq })) {
    const event = readable(log, stored, ({ data }) => decodeEvent(data));
    if (event === undefined) continue;
    if (event.type === "QUOTE_RECEIVED" || event.type === "QUOTE_REFUSED") {
      judged.add((event.data as EventData<"QUOTE_RECEIVED" | "QUOTE_REFUSED">).quote_id);
    }
    const topic = parseTopic(stored.subject);
    if (topic?.kind !== "intent" || !open.has(topic.id)) continue;
    const history = histories.get(topic.id);
    if (history === undefined) histories.set(topic.id, [event]);
    else history.push(event);
  }
  return { histories, judged };
}

/**
 * Of the newest revision that is told: what is not told yet is on its dispatcher's way, which tells it before it sends. A row ahead of
 * that would be sent for by its timers, and answered, before the log says that there is anything to answer.
 */
function rowOf(newest: LoadedIntent, history: Event[], nowMs: number): RebuildRow | undefined {
  const folded = foldIntent(newest.record.targets, history);
  if (!folded.created) return undefined;
  const intent = revisionsOf(newest).findLast(({ revision }) => revision <= folded.revision)!;
  const deliveries = intent.record.targets.map((node) => folded.deliveries.get(node)!);
  // Fan-out may have begun without its event: the first attempt counts as made as soon as a row exists.
  const attempt = Math.max(1, folded.attempt);
  return {
    intentId: intent.id,
    revision: intent.revision,
    targets: intent.record.targets,
    deliveries: deliveries.map(({ state, attempts }) => ({ state, attempts: Math.max(1, attempts) })),
    attempt,
    deadlineMs: intent.deadlineMs,
    // One that its dispatcher has not finished with is left to it for a moment.
    retryDueMs: nowMs + (folded.broadcasted ? ANSWER_MS : UNDISPATCHED_MS),
  };
}

async function requeueQuotes(deps: RebuildDeps, judged: ReadonlySet<string>, sinceMs: number): Promise<number> {
  const { backbone, queue, log } = deps;
  const fromSeq = await seqAtTime(backbone, STREAMS.quotes, sinceMs);
  let batch: IntakeJob<IntakeJobData>[] = [];
  let requeued = 0;
  const put = async () => {
    await queue.addMany(batch);
    requeued += batch.length;
    batch = [];
  };
  for await (const stored of readAll(backbone, STREAMS.quotes, { fromSeq })) {
    if (judged.has(stored.subject.split(".")[3]!)) continue;
    const job = readable(log, stored, () => intakeJob(stored, { requeued: true }));
    if (job !== undefined) batch.push(job);
    if (batch.length === JOBS_PER_WRITE) await put();
  }
  await put();
  return requeued;
}

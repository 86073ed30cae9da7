// Amends an open intent: the whole wish anew, signed, under the same id, in one write that its end and other amendments exclude (ADR-12).
// Sending it to the same nodes is the dispatcher's work; a 202 means: recorded.

import { type Backbone, readLast, subjectMatches } from "@outcry/backbone";
import {
  type LoadedIntent,
  type RevisionRecord,
  afterChange,
  amendIntent as nextRevision,
  decodeRevisionRecord,
  encodeRecord,
  openIntent,
} from "@outcry/delivery";
import {
  type AmendRequest,
  type Intent,
  LIMITS,
  OutcryError,
  STREAMS,
  SUBJECTS,
  amendedRequest,
  buildIntent,
  canonicalize,
  digestOf,
} from "@outcry/protocol";
import { signEnvelope } from "@outcry/signing";
import { type IntentCost, NO_COST, costOf } from "./backend-limits.js";
import type { SubmitDeps } from "./submit-intent.js";

const RACES_MAX = 10; // lost in a row to other amendments
const REPLICA_LAG_MS = 20; // a follower that answers Direct Get may lag behind the leader by about this

export interface Amendment {
  intentId: string;
  backendId: string;
  idempotencyKey: string;
  changes: AmendRequest;
  requestId: string;
  traceparent: string;
}

export type AmendResult =
  /** `intent`: as this very amendment made it, also when it is replayed behind a later one. */
  | { kind: "amended" | "replayed"; intent: LoadedIntent; cost: IntentCost }
  /** The key was used for this intent with another body. */
  | { kind: "mismatch"; revision: number };

/**
 * Throws OutcryError: intent_not_found, intent_ended, revision_mismatch, revisions_too_many, amendment_empty, deadline_invalid,
 * validation_failed, rate_limited, record_full, dependency_unavailable.
 */
export async function amendIntent(deps: SubmitDeps, amendment: Amendment): Promise<AmendResult> {
  const digests = digestsOf(amendment);
  for (let races = 0; races <= RACES_MAX; races++) {
    if (races > 0) await new Promise((resolve) => setTimeout(resolve, REPLICA_LAG_MS * races));
    const history = await readHistory(deps.backbone, amendment.intentId);
    const earlier = history.revisions.find(({ record }) => record.key_digest === digests.key_digest);
    if (earlier !== undefined) return replayOf(earlier, digests);
    if (history.ended) throw new OutcryError("intent_ended");
    const amended = await appendRevision(deps, amendment, digests, history.newest);
    if (amended !== undefined) return amended;
  }
  throw new OutcryError("timed_out", `${amendment.intentId} was changed ${RACES_MAX} times meanwhile`);
}

type Digests = Pick<RevisionRecord, "key_digest" | "body_digest">;

const digestsOf = ({ backendId, idempotencyKey, changes }: Amendment): Digests => ({
  key_digest: digestOf(canonicalize([backendId, idempotencyKey])),
  body_digest: digestOf(canonicalize(changes)),
});

interface Revision {
  intent: LoadedIntent;
  record: RevisionRecord;
}

interface History {
  newest: LoadedIntent;
  revisions: Revision[];
  ended: boolean;
}

/** The record itself: what this process remembers may be a revision behind. */
async function readHistory(backbone: Backbone, id: string): Promise<History> {
  const filters = [SUBJECTS.intent(id), SUBJECTS.intentChanges(id)];
  const [first, ...changes] = await readLast(backbone, STREAMS.intents, filters);
  if (first?.subject !== SUBJECTS.intent(id)) throw new OutcryError("intent_not_found");
  const revisions: Revision[] = [];
  let newest = openIntent(first);
  for (const stored of changes.filter(({ subject }) => subjectMatches(SUBJECTS.allRevisions, subject))) {
    const standing: number = newest.revision;
    newest = afterChange(newest, stored);
    if (newest.revision > standing)
      revisions.push({ intent: newest, record: decodeRevisionRecord(stored.data).record });
  }
  return { newest, revisions, ended: changes.some(({ subject }) => subject === SUBJECTS.intentEnd(id)) };
}

function replayOf({ intent, record }: Revision, { body_digest }: Digests): AmendResult {
  return record.body_digest === body_digest
    ? { kind: "replayed", intent, cost: NO_COST }
    : { kind: "mismatch", revision: intent.revision };
}

/** Undefined when something else changed the intent first. */
async function appendRevision(
  deps: SubmitDeps,
  amendment: Amendment,
  digests: Digests,
  standing: LoadedIntent,
): Promise<AmendResult | undefined> {
  requireRevision(amendment.changes, standing);
  const record = prepareRevision(deps, amendment, digests, standing);
  const cost = costOf({ targets: standing.record.targets, envelope: record.envelope });
  const over = deps.limits.charge(amendment.backendId, cost);
  if (over !== undefined) throw over;
  let appended = false;
  try {
    const entry = {
      subject: SUBJECTS.intentRevision(standing.id, record.revision),
      data: encodeRecord(record),
      expectLast: { seq: standing.changedSeq, filter: SUBJECTS.intentChanges(standing.id) },
    };
    const written = await deps.intents.append(entry);
    appended = written.kind === "appended";
    if (written.kind !== "appended") return undefined;
    return {
      kind: "amended",
      intent: nextRevision(standing, { ...entry, seq: written.seq, time: deps.clock.now() }),
      cost,
    };
  } finally {
    // An unknown outcome too: its repetition is a replay, or is charged then.
    if (!appended) deps.limits.giveBack(amendment.backendId, cost);
  }
}

function requireRevision({ expected_revision: expected }: AmendRequest, { id, revision }: LoadedIntent): void {
  if (expected !== undefined && expected !== revision)
    throw new OutcryError("revision_mismatch", `${id} is at revision ${revision}, not ${expected}.`);
  if (revision >= LIMITS.intentRevisionsMax)
    throw new OutcryError("revisions_too_many", `${id} was amended ${revision} times.`);
}

function prepareRevision(
  deps: SubmitDeps,
  { backendId, changes, requestId, traceparent }: Amendment,
  digests: Digests,
  standing: LoadedIntent,
): RevisionRecord {
  const revision = standing.revision + 1;
  const supersedes = standing.record.request_digest;
  const intent = buildIntent(amendedRequest(standing.intent.payload, changes), {
    id: standing.id,
    sender: deps.senderId,
    traceId: standing.intent.trace_id,
    clock: deps.clock,
    amends: { revision, supersedes },
  });
  if (sameWish(intent, standing.intent)) throw new OutcryError("amendment_empty");
  const bytes = canonicalize(intent); // from here on the bytes are the message
  const { jws, digest } = signEnvelope(bytes, "intent", deps.signingKey);
  return {
    record_version: 1,
    revision,
    envelope: new TextDecoder().decode(bytes),
    signature: jws,
    request_digest: digest,
    supersedes,
    ...digests,
    by: backendId,
    request_id: requestId,
    traceparent,
  };
}

const sameWish = (one: Intent, other: Intent): boolean => wishOf(one) === wishOf(other);

function wishOf({ payload }: Intent): string {
  const { revision: _revision, supersedes: _supersedes, ...wish } = payload;
  return digestOf(canonicalize(wish));
}

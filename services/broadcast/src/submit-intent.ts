// Turns a posted request into a signed, recorded intent. Fanning it out is the dispatcher's work; a 202 means: recorded.

import { type Appender, type Backbone, getLast } from "@outcry/backbone";
import { type IntentRecord, type LoadedIntent, encodeRecord, openIntent } from "@outcry/delivery";
import {
  type Clock,
  type Intent,
  type IntentRequest,
  LIMITS,
  OutcryError,
  STREAMS,
  SUBJECTS,
  buildIntent,
  canonicalize,
  digestOf,
  intentId,
  needOf,
  toRfc3339,
} from "@outcry/protocol";
import { type Selection, type RegistryIndex, selectTargets } from "@outcry/selection";
import { type DetachedSignature, type SigningKey, signEnvelope, signEnvelopeAsync } from "@outcry/signing";
import { type BackendLimits, type IntentCost, NO_COST, costOf } from "./backend-limits.js";

export interface SubmitDeps {
  backbone: Backbone;
  intents: Appender;
  registry: RegistryIndex;
  signingKey: SigningKey;
  senderId: string;
  quoteWindowMs: number;
  limits: BackendLimits;
  /** Posts of this process that are not answered yet. */
  inHand: { posts: number };
  clock: Clock;
}

export interface Submission {
  backendId: string;
  idempotencyKey: string;
  /** As parsed from the body; its canonical digest decides whether a replay is the same. */
  request: IntentRequest;
  requestId: string;
  traceparent: string;
  /** W3C trace id of `traceparent`. */
  traceId: string;
}

export type SubmitResult =
  | { kind: "accepted" | "replayed"; intent: SubmittedIntent; cost: IntentCost }
  /** The key was used with another body. */
  | { kind: "mismatch"; intentId: string };

export type SubmittedIntent = Pick<LoadedIntent, "id" | "record" | "intent">;

/** Throws OutcryError: deadline_invalid, validation_failed, no_eligible_nodes, targets_too_many, rate_limited, record_full, dependency_unavailable. */
export async function submitIntent(deps: SubmitDeps, submission: Submission): Promise<SubmitResult> {
  deps.inHand.posts += 1;
  return recordIntent(deps, submission).finally(() => (deps.inHand.posts -= 1));
}

async function recordIntent(deps: SubmitDeps, submission: Submission): Promise<SubmitResult> {
  const id = intentId(submission.backendId, submission.idempotencyKey);
  const bodyDigest = digestOf(canonicalize(submission.request));

  const fresh = await prepareIntent(deps, submission, id, bodyDigest);
  if (fresh.kind === "refused") {
    // Yesterday's body may be refused today, yet its replay is answered as it was.
    const earlier = await readRecorded(deps, id);
    if (earlier === undefined) throw fresh.error;
    return replayOf(earlier, bodyDigest);
  }

  const cost = costOf(fresh.record);
  const over = deps.limits.charge(submission.backendId, cost);
  if (over !== undefined) {
    // A replay costs nothing, so no limit keeps it from its answer.
    const earlier = await readRecorded(deps, id);
    if (earlier === undefined) throw over;
    return replayOf(earlier, bodyDigest);
  }
  const written = await appendIntent(deps, submission.backendId, id, fresh.record, cost);
  if (written.kind === "appended")
    return { kind: "accepted", intent: { id, record: fresh.record, intent: fresh.intent }, cost };
  const earlier = await readRecorded(deps, id);
  if (earlier === undefined) throw new OutcryError("internal", `the record holds ${id} and does not answer with it`);
  return replayOf(earlier, bodyDigest);
}

/** What is not newly recorded is not charged. An unknown outcome is given back too: its repetition is a replay, or is charged then. */
async function appendIntent(deps: SubmitDeps, backendId: string, id: string, record: IntentRecord, cost: IntentCost) {
  let appended = false;
  try {
    const entry = { subject: SUBJECTS.intent(id), data: encodeRecord(record), expectFirst: true };
    const written = await deps.intents.append(entry);
    appended = written.kind === "appended";
    return written;
  } finally {
    if (!appended) deps.limits.giveBack(backendId, cost);
  }
}

/**
 * As it was posted, from the record itself: the book may hold an amended one, and remembers for a while that an id was unknown, which
 * may just have been recorded.
 */
async function readRecorded({ backbone }: SubmitDeps, id: string): Promise<SubmittedIntent | undefined> {
  const stored = await getLast(backbone, STREAMS.intents, SUBJECTS.intent(id));
  return stored && openIntent(stored);
}

function replayOf(earlier: SubmittedIntent, bodyDigest: string): SubmitResult {
  return earlier.record.body_digest === bodyDigest
    ? { kind: "replayed", intent: earlier, cost: NO_COST }
    : { kind: "mismatch", intentId: earlier.id };
}

type Prepared = { kind: "ready"; record: IntentRecord; intent: Intent } | { kind: "refused"; error: OutcryError };

async function prepareIntent(
  deps: SubmitDeps,
  submission: Submission,
  id: string,
  bodyDigest: string,
): Promise<Prepared> {
  try {
    const { request } = submission;
    const nowMs = deps.clock.now();
    const asked = { ...request, quote_deadline: request.quote_deadline ?? toRfc3339(nowMs + deps.quoteWindowMs) };
    const intent = buildIntent(asked, {
      id,
      sender: deps.senderId,
      traceId: submission.traceId,
      clock: { now: () => nowMs },
    });
    const routing = request.routing ?? {};
    const selection = targetsOf(selectTargets(deps.registry, needOf(intent.payload), routing));
    const bytes = canonicalize(intent); // from here on the bytes are the message
    const { jws, digest } = await sign(deps, bytes);
    return {
      kind: "ready",
      intent,
      record: {
        record_version: 1,
        envelope: new TextDecoder().decode(bytes),
        signature: jws,
        request_digest: digest,
        body_digest: bodyDigest,
        backend_id: submission.backendId,
        ...(request.buyer_id === undefined ? {} : { buyer_id: request.buyer_id }),
        routing,
        targets: selection.targets,
        registry_revision: selection.revision,
        request_id: submission.requestId,
        traceparent: submission.traceparent,
      },
    };
  } catch (error) {
    if (error instanceof OutcryError && !error.temporary) return { kind: "refused", error };
    throw error;
  }
}

/**
 * A third of what a POST costs this thread. With others in hand it goes to another thread; a lone one would only wait longer for the
 * two switches than the signature takes.
 */
function sign({ inHand, signingKey }: SubmitDeps, bytes: Uint8Array): DetachedSignature | Promise<DetachedSignature> {
  const alone = inHand.posts === 1;
  return alone ? signEnvelope(bytes, "intent", signingKey) : signEnvelopeAsync(bytes, "intent", signingKey);
}

function targetsOf(selection: Selection): Extract<Selection, { kind: "selected" }> {
  if (selection.kind === "empty") {
    const trail = selection.filters.map(({ filter, left }) => `${filter}: ${left}`).join(", ");
    throw new OutcryError(
      "no_eligible_nodes",
      `the filter ${selection.filter} left no node (left after each filter: ${trail})`,
      {
        pointers: [
          {
            pointer: POINTER_OF_FILTER[selection.filter] ?? "",
            detail: `no node passes the filter ${selection.filter}`,
          },
        ],
      },
    );
  }
  if (selection.targets.length > LIMITS.targetsMax) {
    throw new OutcryError(
      "targets_too_many",
      `${selection.targets.length} nodes are eligible; at most ${LIMITS.targetsMax} may be addressed`,
    );
  }
  return selection;
}

const POINTER_OF_FILTER: Readonly<Record<string, string>> = {
  targets: "/routing/targets",
  category: "/line_items",
  region: "/context/region",
  capability: "/routing/capabilities",
  allow: "/routing/allow",
  block: "/routing/block",
};

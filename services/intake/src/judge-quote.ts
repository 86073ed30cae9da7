// Decides whether a stored quote counts: signature, binding to the intent, deadline. Pure but for the signature check.
// Each refusal has its code of the error table; the order is from who sent it to what it says.

import type { LoadedIntent, EndRecord, IntakeJobData } from "@outcry/delivery";
import {
  type ErrorCode,
  LIMITS,
  type Quote,
  bindingRefusal,
  digestOf,
  isOutcryError,
  parseRfc3339,
  readQuote,
  subjectRefusal,
  termsRefusal,
} from "@outcry/protocol";
import { type KeySource, checkFreshness, verifyEnvelopeAsync } from "@outcry/signing";

export type Verdict =
  | { kind: "counts"; quote: Quote; digest: string }
  | { kind: "refused"; code: ErrorCode; detail?: string };

export interface Evidence {
  job: IntakeJobData;
  /** From the subject, which the node's connection authenticated. */
  nodeId: string;
  intent: LoadedIntent;
  /** Present when the intent had ended, or was ending, as the quote was judged. */
  end: EndRecord | undefined;
  keys: KeySource;
}

const encoder = new TextEncoder();

export async function judgeQuote(evidence: Evidence): Promise<Verdict> {
  const bytes = encoder.encode(evidence.job.envelope);
  const verified = await verifyEnvelopeAsync(bytes, evidence.job.signature, evidence.keys);
  if (verified.kind === "refused") return { kind: "refused", code: verified.code, detail: verified.detail };
  const read = quoteIn(bytes);
  if (read.kind === "refused") return read;
  const { quote } = read;
  const code = refusalOf(evidence, quote);
  return code === undefined ? { kind: "counts", quote, digest: digestOf(bytes) } : { kind: "refused", code };
}

/** What is signed by a node need not be a quote. */
function quoteIn(bytes: Uint8Array): { kind: "quote"; quote: Quote } | Extract<Verdict, { kind: "refused" }> {
  try {
    return { kind: "quote", quote: readQuote(bytes) };
  } catch (error) {
    if (!isOutcryError(error)) throw error;
    return { kind: "refused", code: error.code, detail: error.detail };
  }
}

function refusalOf(evidence: Evidence, quote: Quote): ErrorCode | undefined {
  const { nodeId, intent } = evidence;
  const { request_digest: requestDigest } = intent.record;
  const targeted = intent.indexOf.has(nodeId);
  return (
    subjectRefusal(quote, { node: nodeId, intent: intent.id }) ??
    bindingRefusal(quote, { intent: intent.intent, requestDigest, targeted, earlier: intent.earlier }) ??
    outOfTime(evidence, quote) ??
    termsRefusal(quote, intent.intent)
  );
}

/** Times are QUOTES' own: a worker that is late makes no quote late. */
function outOfTime({ job, intent, end }: Evidence, quote: Quote): ErrorCode | undefined {
  if (job.storedMs > intent.deadlineMs) return "quote_late";
  if (end !== undefined && job.seq > end.quotes_through) return "intent_ended";
  const validUntilMs = parseRfc3339(quote.payload.valid_until);
  if (validUntilMs === undefined || validUntilMs < job.storedMs) return "quote_validity_ended";
  const fresh = checkFreshness(quote, job.storedMs, { skewMs: LIMITS.clockSkewMs });
  if (fresh.kind === "expired") return "message_expired";
  if (fresh.kind === "future_dated") return "message_future_dated";
  return undefined;
}

// Decides whether a stored quote counts: signature, binding to the intent, deadline. Pure but for the signature check.
// Each refusal has its code of the error table; the order is from who sent it to what it says.

import type { LoadedIntent, EndRecord, IntakeJobData } from "@outcry/delivery";
import { type ErrorCode, LIMITS, type Quote, digestOf, parseRfc3339, quoteId, totalsAgree } from "@outcry/protocol";
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
  const quote = verified.envelope as unknown as Quote;
  const code = refusalOf(evidence, quote);
  return code === undefined ? { kind: "counts", quote, digest: digestOf(bytes) } : { kind: "refused", code };
}

function refusalOf(evidence: Evidence, quote: Quote): ErrorCode | undefined {
  return boundElsewhere(evidence, quote) ?? outOfTime(evidence, quote) ?? wrongTerms(evidence, quote);
}

function boundElsewhere({ nodeId, intent }: Evidence, quote: Quote): ErrorCode | undefined {
  if (quote.type !== "quote") return "message_type_wrong";
  if (quote.sender.id !== nodeId || quote.in_reply_to !== intent.id || quote.payload.intent_id !== intent.id)
    return "quote_subject_mismatch";
  if (!intent.indexOf.has(nodeId)) return "quote_not_target";
  if (quote.audience !== intent.intent.sender.id) return "quote_audience_mismatch";
  if (quote.request_digest !== intent.record.request_digest) return "quote_digest_mismatch";
  return undefined;
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

function wrongTerms({ nodeId, intent }: Evidence, quote: Quote): ErrorCode | undefined {
  const { payload } = quote;
  const { context, quotes_per_node_max: quotesMax, line_items: asked } = intent.intent.payload;
  if (payload.total.currency !== context.currency) return "quote_currency_mismatch";
  if (!totalsAgree(payload)) return "quote_total_mismatch";
  const known = new Set(asked.map((item) => item.id));
  if (payload.line_items.some((line) => !known.has(line.line_item_id))) return "quote_line_item_unknown";
  if (payload.ordinal >= quotesMax) return "quote_ordinal_exceeded";
  if (quote.id !== quoteId(intent.id, nodeId, payload.ordinal)) return "quote_id_underived";
  if (payload.supersedes !== undefined && !earlierIds(intent.id, nodeId, payload.ordinal).has(payload.supersedes))
    return "quote_supersedes_unknown";
  return undefined;
}

const earlierIds = (intent: string, node: string, ordinal: number): Set<string> =>
  new Set(Array.from({ length: ordinal }, (_, earlier) => quoteId(intent, node, earlier)));

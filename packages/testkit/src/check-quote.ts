// The intake's two looks at a quote, in its order and with its codes: what is refused at once, and what a stored quote is judged by.

import {
  check,
  type ErrorCode,
  type Intent,
  LIMITS,
  OutcryError,
  parseCanonical,
  PROTOCOL,
  PROTOCOL_VERSION,
  Quote,
  quoteId,
  totalsAgree,
} from "@outcry/protocol";
import { checkFreshness, type KeySource, verifyEnvelopeAsync } from "@outcry/signing";
import type { SentIntent } from "./sent-intent.js";

export interface QuoteRequest {
  /** Of the subject. */
  readonly nodeId: string;
  readonly intentId: string;
  readonly bytes: Uint8Array;
  readonly signature: string | undefined;
}

const SIGNATURE = /^[\w-]{1,512}\.\.[\w-]{1,256}$/;

/** A quote that may be stored. Throws the OutcryError that refuses it. */
export function admitQuote(request: QuoteRequest, sent: SentIntent | undefined): Quote {
  const { nodeId, intentId, bytes, signature } = request;
  if (signature === undefined) throw new OutcryError("signature_missing");
  if (!SIGNATURE.test(signature)) throw new OutcryError("signature_malformed");
  const quote = readQuote(bytes);
  if (quote.sender.id !== nodeId || quote.in_reply_to !== intentId || quote.payload.intent_id !== intentId)
    throw new OutcryError("quote_subject_mismatch");
  if (quote.id !== quoteId(intentId, nodeId, quote.payload.ordinal)) throw new OutcryError("quote_id_underived");
  if (sent?.recorded !== true) throw new OutcryError("quote_intent_unknown");
  if (!sent.targets.includes(nodeId)) throw new OutcryError("quote_not_target");
  if (quote.payload.ordinal >= sent.intent.payload.quotes_per_node_max) throw new OutcryError("quote_ordinal_exceeded");
  return quote;
}

function readQuote(bytes: Uint8Array): Quote {
  const parsed = parseCanonical(bytes, { bytesMax: LIMITS.quoteBytesMax });
  if (parsed.kind === "refused") throw new OutcryError(parsed.code, parsed.detail);
  const checked = check(Quote, parsed.value);
  if (checked.kind === "ok") return checked.value;
  const { protocol, version, type } = (parsed.value ?? {}) as Partial<Record<keyof Quote, unknown>>;
  if (protocol !== PROTOCOL || version !== PROTOCOL_VERSION) throw new OutcryError("version_unknown");
  if (type !== "quote") throw new OutcryError("message_type_wrong");
  const places = checked.pointers.map(({ pointer, detail }) => `${pointer} ${detail}`);
  throw new OutcryError("validation_failed", places.join("; "), { pointers: checked.pointers });
}

/** Of an admitted quote: throws the OutcryError for which it does not count. */
export async function judgeQuote(
  request: QuoteRequest,
  quote: Quote,
  sent: SentIntent,
  keys: KeySource,
): Promise<void> {
  const storedMs = Date.now();
  const { cancelled } = sent; // as it was stored
  const verdict = await verifyEnvelopeAsync(request.bytes, request.signature, keys);
  if (verdict.kind === "refused") throw new OutcryError(verdict.code, verdict.detail);
  const code =
    boundElsewhere(quote, sent) ??
    outOfTime(quote, cancelled, sent.deadlineMs, storedMs) ??
    wrongTerms(quote, sent.intent, request.nodeId);
  if (code !== undefined) throw new OutcryError(code);
}

function boundElsewhere(quote: Quote, { intent, digest }: SentIntent): ErrorCode | undefined {
  if (quote.audience !== intent.sender.id) return "quote_audience_mismatch";
  return quote.request_digest === digest ? undefined : "quote_digest_mismatch";
}

function outOfTime(quote: Quote, cancelled: boolean, deadlineMs: number, storedMs: number): ErrorCode | undefined {
  if (storedMs > deadlineMs) return "quote_late";
  if (cancelled) return "intent_ended";
  if (Date.parse(quote.payload.valid_until) < storedMs) return "quote_validity_ended";
  const fresh = checkFreshness(quote, storedMs).kind;
  if (fresh === "expired") return "message_expired";
  return fresh === "future_dated" ? "message_future_dated" : undefined;
}

function wrongTerms({ payload }: Quote, intent: Intent, nodeId: string): ErrorCode | undefined {
  const asked = new Set(intent.payload.line_items.map(({ id }) => id));
  if (payload.total.currency !== intent.payload.context.currency) return "quote_currency_mismatch";
  if (!totalsAgree(payload)) return "quote_total_mismatch";
  if (payload.line_items.some(({ line_item_id: id }) => !asked.has(id))) return "quote_line_item_unknown";
  const earlier = Array.from({ length: payload.ordinal }, (_, ordinal) => quoteId(intent.id, nodeId, ordinal));
  const { supersedes } = payload;
  return supersedes === undefined || earlier.includes(supersedes) ? undefined : "quote_supersedes_unknown";
}

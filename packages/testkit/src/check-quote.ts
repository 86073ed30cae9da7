// The intake's two looks at a quote, in its order and with its codes: what is refused at once, and what a stored quote is judged by.

import {
  bindingRefusal,
  type ErrorCode,
  OutcryError,
  type Quote,
  readQuote,
  subjectRefusal,
  termsRefusal,
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
  const misnamed = subjectRefusal(quote, { node: nodeId, intent: intentId });
  if (misnamed !== undefined) throw new OutcryError(misnamed);
  if (sent?.recorded !== true) throw new OutcryError("quote_intent_unknown");
  if (!sent.targets.includes(nodeId)) throw new OutcryError("quote_not_target");
  if (quote.payload.ordinal >= sent.intent.payload.quotes_per_node_max) throw new OutcryError("quote_ordinal_exceeded");
  return quote;
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
  const { intent, digest: requestDigest, deadlineMs } = sent;
  const code =
    bindingRefusal(quote, { intent, requestDigest, targeted: true, earlier: sent.earlier }) ??
    outOfTime(quote, cancelled, deadlineMs, storedMs) ??
    termsRefusal(quote, intent);
  if (code !== undefined) throw new OutcryError(code);
}

function outOfTime(quote: Quote, cancelled: boolean, deadlineMs: number, storedMs: number): ErrorCode | undefined {
  if (storedMs > deadlineMs) return "quote_late";
  if (cancelled) return "intent_ended";
  if (Date.parse(quote.payload.valid_until) < storedMs) return "quote_validity_ended";
  const fresh = checkFreshness(quote, storedMs).kind;
  if (fresh === "expired") return "message_expired";
  return fresh === "future_dated" ? "message_future_dated" : undefined;
}

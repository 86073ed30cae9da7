// What a quote must be, apart from its signature and its time: pure, so that the intake, a test market and a node's author
// agree on it. Each refusal has its code; the order is from whom it names to what it says.

import { PROTOCOL, PROTOCOL_VERSION } from "./envelope.js";
import { type ErrorCode, OutcryError } from "./errors.js";
import { quoteId } from "./ids.js";
import type { Intent } from "./intent.js";
import { LIMITS } from "./limits.js";
import { parseCanonical } from "./parse-strict.js";
import { Quote, totalsAgree } from "./quote.js";
import { revisionOf } from "./revision.js";
import { check } from "./validate.js";

/** The quote in these bytes. Throws OutcryError: a json_* code, version_unknown, message_type_wrong, validation_failed. */
export function readQuote(bytes: Uint8Array): Quote {
  const parsed = parseCanonical(bytes, { bytesMax: LIMITS.quoteBytesMax });
  if (parsed.kind === "refused") throw new OutcryError(parsed.code, parsed.detail);
  const checked = check(Quote, parsed.value);
  if (checked.kind === "ok") return checked.value;
  const { protocol, version, type } = (parsed.value ?? {}) as Partial<Record<keyof Quote, unknown>>;
  if (protocol !== PROTOCOL || version !== PROTOCOL_VERSION)
    throw new OutcryError("version_unknown", `${nameOf(protocol)} ${nameOf(version)}`);
  if (type !== "quote") throw new OutcryError("message_type_wrong", `${nameOf(type)} stands where a quote belongs`);
  const places = checked.pointers.map(({ pointer, detail }) => `${pointer} ${detail}`);
  throw new OutcryError("validation_failed", places.join("; "), { pointers: checked.pointers });
}

/** A foreign value in an answer: short, whatever it is. */
const nameOf = (value: unknown): string =>
  typeof value === "string" ? JSON.stringify(value.slice(0, 64)) : typeof value;

/** Subject and quote must name the same node and intent, and the id must be theirs: it is the quote's name from here on. */
export function subjectRefusal(quote: Quote, subject: { node: string; intent: string }): ErrorCode | undefined {
  const { sender, in_reply_to, payload } = quote;
  if (sender.id !== subject.node || in_reply_to !== subject.intent || payload.intent_id !== subject.intent) {
    return "quote_subject_mismatch";
  }
  const derived = quoteId(subject.intent, subject.node, payload.ordinal, revisionOf(payload));
  return quote.id === derived ? undefined : "quote_id_underived";
}

export interface Asked {
  /** Its newest revision. */
  intent: Intent;
  requestDigest: string;
  /** The intent was sent to the node. */
  targeted: boolean;
  /** Digests of the revisions before. */
  earlier?: ReadonlySet<string>;
}

/** Bound to this very revision of the intent, and asked for by it. */
export function bindingRefusal(quote: Quote, asked: Asked): ErrorCode | undefined {
  const { intent, requestDigest, targeted, earlier } = asked;
  const { payload, audience, request_digest: digest } = quote;
  if (!targeted) return "quote_not_target";
  if (earlier?.has(digest)) return "quote_superseded";
  if (payload.ordinal >= intent.payload.quotes_per_node_max) return "quote_ordinal_exceeded";
  if (audience !== intent.sender.id) return "quote_audience_mismatch";
  const bound = digest === requestDigest && revisionOf(payload) === revisionOf(intent.payload);
  return bound ? undefined : "quote_digest_mismatch";
}

/** Currency, sums, line items, and what it supersedes. */
export function termsRefusal(quote: Quote, intent: Intent): ErrorCode | undefined {
  const { payload, sender } = quote;
  const known = new Set(intent.payload.line_items.map(({ id }) => id));
  if (payload.total.currency !== intent.payload.context.currency) return "quote_currency_mismatch";
  if (!totalsAgree(payload)) return "quote_total_mismatch";
  if (payload.line_items.some((line) => !known.has(line.line_item_id))) return "quote_line_item_unknown";
  const { supersedes } = payload;
  const revision = revisionOf(payload);
  const earlier = Array.from({ length: payload.ordinal }, (_, nth) => quoteId(intent.id, sender.id, nth, revision));
  return supersedes === undefined || earlier.includes(supersedes) ? undefined : "quote_supersedes_unknown";
}

// What a handler may answer. ctx.quote() has built, numbered and signed the quote already; returning it sends it.

import type { DeclineReason, Quote } from "@outcry/protocol";
import type { SignedQuote } from "./send-quote.js";

export interface QuoteReply {
  readonly kind: "quote";
  readonly quoteId: string;
  readonly quote: Quote;
  readonly signed: SignedQuote;
}

export interface DeclineReply {
  readonly kind: "decline";
  readonly reason: DeclineReason;
}

export type HandlerReply = QuoteReply | DeclineReply;

/** Nothing at all means `pass`. */
export type HandlerResult = HandlerReply | readonly QuoteReply[] | undefined | void;

export type Answer = { kind: "quotes"; quotes: readonly QuoteReply[] } | DeclineReply;

export function answerOf(result: HandlerResult): Answer {
  if (!result) return { kind: "decline", reason: "pass" };
  if (!("kind" in result))
    return result.length === 0 ? { kind: "decline", reason: "pass" } : { kind: "quotes", quotes: result };
  return result.kind === "quote" ? { kind: "quotes", quotes: [result] } : result;
}

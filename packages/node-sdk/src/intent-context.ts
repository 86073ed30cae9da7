// What a handler gets beside the intent: how long it has, when to stop, and how to answer.

import {
  buildQuote,
  check,
  type Clock,
  type DeclineReason,
  type Intent,
  OutcryError,
  Quote,
  type QuoteInput,
  revisionOf,
} from "@outcry/protocol";
import type { DeclineReply, QuoteReply } from "./reply.js";
import type { QuoteOutcome, SignedQuote } from "./send-quote.js";

export interface IntentContext {
  readonly intentId: string;
  readonly nodeId: string;
  /** The delivery's attempt, from 1; anew for each revision. */
  readonly attempt: number;
  /** 0 as it was posted; the handler runs anew for each revision, and an earlier run is aborted. */
  readonly revision: number;
  readonly deadline: Date;
  readonly requestId: string | undefined;
  readonly traceparent: string | undefined;
  /** Aborted by a cancel, an amendment, the deadline, or a drain that ran out of time. */
  readonly signal: AbortSignal;
  remainingMs(): number;
  /** Builds the next quote of this intent; returning it sends it. Throws OutcryError for amounts or counts that cannot be. */
  quote(input: QuoteInput): QuoteReply;
  decline(reason?: DeclineReason): DeclineReply;
  /** Sends a quote before the handler returns; returning it as well changes nothing. */
  send(reply: QuoteReply): Promise<QuoteOutcome>;
}

export interface ContextParts {
  readonly intent: Intent;
  readonly nodeId: string;
  readonly requestDigest: string;
  readonly attempt: number;
  readonly deadlineMs: number;
  readonly requestId: string | undefined;
  readonly traceparent: string | undefined;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly sign: (quote: Quote) => SignedQuote;
  readonly send: (reply: QuoteReply) => Promise<QuoteOutcome>;
}

export function intentContext(parts: ContextParts): IntentContext {
  const { intent, nodeId, clock } = parts;
  let nextOrdinal = 0; // counts calls: a restarted handler that does the same gets the same quote ids
  return {
    intentId: intent.id,
    nodeId,
    attempt: parts.attempt,
    revision: revisionOf(intent.payload),
    deadline: new Date(parts.deadlineMs),
    requestId: parts.requestId,
    traceparent: parts.traceparent,
    signal: parts.signal,
    remainingMs: () => Math.max(0, parts.deadlineMs - clock.now()),
    quote(input) {
      if (nextOrdinal >= intent.payload.quotes_per_node_max) {
        throw new OutcryError(
          "quote_ordinal_exceeded",
          `the intent takes ${intent.payload.quotes_per_node_max} quotes of one node`,
        );
      }
      const quote = buildQuote(intent, input, {
        nodeId,
        ordinal: nextOrdinal,
        requestDigest: parts.requestDigest,
        clock,
      });
      const checked = check(Quote, quote);
      if (checked.kind === "invalid") {
        const [first] = checked.pointers;
        throw new OutcryError("validation_failed", `the quote is not valid: ${first?.pointer} ${first?.detail}`, {
          pointers: checked.pointers,
        });
      }
      const signed = parts.sign(quote);
      nextOrdinal++;
      return { kind: "quote", quoteId: quote.id, quote, signed };
    },
    decline: (reason = "pass") => ({ kind: "decline", reason }),
    send: parts.send,
  };
}

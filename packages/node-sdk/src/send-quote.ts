// One signed quote on its way: the same bytes, again and again, until the service says stored or refuses for good.
// This node owns the retry of its quotes (one retry owner per hop); an unknown outcome is never taken for a stored one.

import {
  canonicalize,
  check,
  type Clock,
  type Log,
  parseStrict,
  type Quote,
  QuoteAnswer,
  SUBJECTS,
} from "@outcry/protocol";
import { signEnvelope, type SigningKey } from "@outcry/signing";
import { Alarm } from "./alarm.js";
import { fullJitterMs } from "./backoff.js";
import { NODE_LIMITS } from "./limits.js";
import type { NatsLink } from "./nats-link.js";

export type QuoteOutcome =
  | { readonly kind: "stored"; readonly digest: string }
  | { readonly kind: "refused"; readonly code: string; readonly detail: string }
  /** The deadline came first; it may or may not be stored. */
  | { readonly kind: "unconfirmed" }
  | { readonly kind: "cancelled" };

const TIMER_MS_MAX = 2 ** 30; // setTimeout would fire at once for more than 2^31

export interface SignedQuote {
  readonly quoteId: string;
  readonly subject: string;
  readonly bytes: Uint8Array;
  readonly digest: string;
  readonly headers: Record<string, string>;
}

/** `echoed`: the trace headers of the intent, which go back to the service. */
export function signQuote(quote: Quote, key: SigningKey, echoed: Record<string, string>): SignedQuote {
  const bytes = canonicalize(quote); // from here on the bytes are the quote
  const { jws, digest } = signEnvelope(bytes, "quote", key);
  const subject = SUBJECTS.nodeQuote(quote.sender.id, quote.payload.intent_id);
  return { quoteId: quote.id, subject, bytes, digest, headers: { "Outcry-Signature": jws, ...echoed } };
}

export interface SendQuoteDeps {
  readonly link: NatsLink;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

export interface Sending {
  readonly deadlineMs: number;
  /** Cancel, deadline or drain. A request under way is waited for: its answer is the truth. */
  readonly signal: AbortSignal;
  /** Rung when the intent arrives again: the service may have missed everything so far. */
  readonly alarm: Alarm;
  readonly cancelled: () => boolean;
}

export async function sendQuote(deps: SendQuoteDeps, quote: SignedQuote, sending: Sending): Promise<QuoteOutcome> {
  const { link, clock, random } = deps;
  const backoff = { baseMs: NODE_LIMITS.quoteRetryBaseMs, capMs: NODE_LIMITS.quoteRetryCapMs };
  for (let attempt = 0; ; attempt++) {
    await link.whenUp(sending.signal);
    if (sending.cancelled()) return { kind: "cancelled" };
    if (sending.signal.aborted || clock.now() >= sending.deadlineMs) return { kind: "unconfirmed" };
    const answer = await ask(deps, quote);
    if (answer?.kind === "stored") return { kind: "stored", digest: answer.digest };
    if (answer?.kind === "refused" && !answer.temporary)
      return { kind: "refused", code: answer.code, detail: answer.detail };
    const backoffMs = fullJitterMs(attempt, backoff, random);
    // Told when to come again: nothing that arrives meanwhile makes it sooner.
    if (answer?.retry_after_ms === undefined) await sending.alarm.sleep(backoffMs, sending.signal);
    else await new Alarm().sleep(Math.min(answer.retry_after_ms, TIMER_MS_MAX) + backoffMs, sending.signal);
  }
}

/** Undefined: no answer, or none that can be understood. */
async function ask({ link, log }: SendQuoteDeps, quote: SignedQuote): Promise<QuoteAnswer | undefined> {
  try {
    const parsed = parseStrict(await link.request(quote.subject, quote.bytes, quote.headers));
    const checked = parsed.kind === "ok" ? check(QuoteAnswer, parsed.value) : undefined;
    if (checked?.kind !== "ok") {
      log.warn({ quote: quote.quoteId }, "node: the answer to a quote is malformed");
      return undefined;
    }
    const answer = checked.value;
    if (answer.kind === "stored" && answer.quote_id !== quote.quoteId) return undefined;
    // A restarted node made the quote anew; the first one counts.
    if (answer.kind === "stored" && answer.digest !== quote.digest)
      log.info({ quote: quote.quoteId }, "node: an earlier form of this quote is stored");
    return answer;
  } catch (error) {
    log.debug({ quote: quote.quoteId, error: String(error) }, "node: a quote is repeated");
    return undefined;
  }
}

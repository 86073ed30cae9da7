// Answers a node's quote request: checks what is cheap, appends to QUOTES, says "stored". From then on the quote is ours to judge.
// The node never publishes into the stream: it could forge message ids there.

import { type Appender, type Backbone, type Incoming, type Subscription, replyAllowed } from "@outcry/backbone";
import { type IntentBook, type LoadedIntent, QUOTE_SIGNATURE_HEADER } from "@outcry/delivery";
import {
  type Log,
  OutcryError,
  type QuoteAnswer,
  SUBJECTS,
  digestOf,
  isOutcryError,
  parseAnswer,
  readQuote,
  revisionOf,
  subjectRefusal,
} from "@outcry/protocol";
import type { NodeLimits } from "./node-limits.js";

const QUEUE_GROUP = "intake";
const WAITING_MAX = 5_000; // appends in the queue; beyond it nodes are asked to come again

export interface StoreDeps {
  backbone: Backbone;
  /** May publish to nodes' inboxes and nowhere else. */
  replies: Backbone;
  quotes: Appender;
  book: IntentBook;
  limits: NodeLimits;
  readStored: (subject: string) => Promise<Uint8Array | undefined>;
  log: Log;
  onAnswer?: (kind: "stored" | "refused" | "forged_reply", code?: string) => void;
}

export function answerQuotes(deps: StoreDeps): Subscription {
  return deps.backbone.subscribe(
    SUBJECTS.allNodeQuotes,
    async (message) => {
      const from = parseAnswer(message.subject);
      // A reply subject outside the node's own inbox would make our answer an ack of another node, or an end.
      if (from === undefined || message.reply === undefined || !replyAllowed(from.node, message.reply)) {
        deps.onAnswer?.("forged_reply");
        deps.log.warn(
          { subject: message.subject, reply: message.reply },
          "a quote asked for an answer outside its node's inbox",
        );
        return;
      }
      const answer = await storeOrRefuse(deps, from, message);
      deps.onAnswer?.(answer.kind, answer.kind === "refused" ? answer.code : undefined);
      deps.replies.publish(message.reply, Buffer.from(JSON.stringify(answer)));
    },
    { queue: QUEUE_GROUP },
  );
}

async function storeOrRefuse(
  deps: StoreDeps,
  from: { node: string; intent: string },
  message: Incoming,
): Promise<QuoteAnswer> {
  try {
    return await storeQuote(deps, from, message);
  } catch (error) {
    const known = isOutcryError(error) ? error : new OutcryError("internal");
    if (!isOutcryError(error)) deps.log.error({ err: error, subject: message.subject }, "a quote could not be stored");
    const { code, detail, temporary, retryAfterMs } = known;
    const wait = retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs };
    return { kind: "refused", code, detail, temporary, ...wait };
  }
}

const SIGNATURE = /^[\w-]{1,512}\.\.[\w-]{1,256}$/; // its shape alone: header..signature in base64url
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Present and of a possible form, so that QUOTES keeps no other text that a node puts there. */
function signatureOf(message: Incoming): string {
  const signature = message.headers.last(QUOTE_SIGNATURE_HEADER);
  if (signature === undefined) throw new OutcryError("signature_missing");
  if (!SIGNATURE.test(signature)) throw new OutcryError("signature_malformed");
  return signature;
}

/** A revision that is not known may have been recorded a moment ago. */
async function intentOf({ book }: StoreDeps, id: string, revision: number): Promise<LoadedIntent | undefined> {
  const known = await book.get(id);
  return known !== undefined && revision > known.revision ? book.refreshSeldom(id) : known;
}

/** A replica that lags may not show the intent, or its revision, yet: the node may ask again. */
function notYet(why: "quote_intent_unknown" | "quote_digest_mismatch"): QuoteAnswer {
  const { code, detail } = new OutcryError(why);
  return { kind: "refused", code, detail, temporary: true };
}

async function storeQuote(
  deps: StoreDeps,
  from: { node: string; intent: string },
  message: Incoming,
): Promise<QuoteAnswer> {
  deps.limits.requireRate(from.node, message.data.length);
  const signature = signatureOf(message);
  const quote = readQuote(message.data);
  // Here too, not only when it is judged: an id that another node could choose as well would hide its quote.
  const misnamed = subjectRefusal(quote, from);
  if (misnamed !== undefined) throw new OutcryError(misnamed);
  const intent = await intentOf(deps, from.intent, revisionOf(quote.payload));
  if (intent === undefined) return notYet("quote_intent_unknown");
  // What can never count is not kept: QUOTES takes at most `quotes_per_node_max` messages of each target.
  if (!intent.indexOf.has(from.node)) throw new OutcryError("quote_not_target");
  if (revisionOf(quote.payload) > intent.revision) return notYet("quote_digest_mismatch");
  if (quote.payload.ordinal >= intent.intent.payload.quotes_per_node_max)
    throw new OutcryError("quote_ordinal_exceeded");
  if (deps.quotes.queued > WAITING_MAX)
    throw new OutcryError("dependency_unavailable", "the intake is behind; send the same quote again");

  const subject = SUBJECTS.quote(from.intent, from.node, quote.id);
  const bytes = subject.length + signature.length + message.data.length;
  deps.limits.requireShare(from.node, bytes);
  const trace = message.headers.last("traceparent") ?? "";
  const headers = { [QUOTE_SIGNATURE_HEADER]: signature, ...(TRACEPARENT.test(trace) ? { traceparent: trace } : {}) };
  const written = await deps.quotes.append({ subject, data: message.data, headers, expectFirst: true });
  if (written.kind === "appended") {
    deps.limits.stored(from.node, bytes);
    return { kind: "stored", quote_id: quote.id, digest: digestOf(message.data) };
  }
  // A restarted node repeats its quote in other bytes: the first ones count, and it learns which those are.
  const stored = await deps.readStored(subject);
  if (stored === undefined) throw new OutcryError("timed_out", "the quote is stored and cannot be read yet");
  return { kind: "stored", quote_id: quote.id, digest: digestOf(stored) };
}

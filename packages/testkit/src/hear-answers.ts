// What nodes answer: acks are checked as the collector does, quotes are stored and judged as the intake does.
// The answer to a quote request says "stored" or "refused"; the judgement follows as a notice.

import { type Backbone, type Incoming, replyAllowed } from "@outcry/backbone";
import {
  Ack,
  check,
  digestOf,
  isOutcryError,
  LIMITS,
  type Notice,
  OutcryError,
  parseAnswer,
  parseStrict,
  type QuoteAnswer,
  SUBJECTS,
} from "@outcry/protocol";
import { keySource, type SigningKey } from "@outcry/signing";
import { admitQuote, judgeQuote, type QuoteRequest } from "./check-quote.js";
import type { SeenQuote, SentIntent } from "./sent-intent.js";

export interface AnswerDeskDeps {
  readonly backbone: Backbone;
  readonly keyOf: (nodeId: string) => SigningKey | undefined;
}

export class AnswerDesk {
  answersToDrop = 0;
  readonly #deps: AnswerDeskDeps;
  readonly #sent = new Map<string, SentIntent>();
  readonly #stored = new Map<string, SeenQuote>();

  constructor(deps: AnswerDeskDeps) {
    this.#deps = deps;
    deps.backbone.subscribe(SUBJECTS.allAcks, (message) => this.#takeAck(message));
    deps.backbone.subscribe(SUBJECTS.allNodeQuotes, (message) => this.#takeQuote(message));
  }

  expect(sent: SentIntent): void {
    this.#sent.set(sent.id, sent);
  }

  #takeAck({ subject, data }: Incoming): void {
    const from = parseAnswer(subject);
    const sent = from && this.#sent.get(from.intent);
    if (from === undefined || sent === undefined) return;
    try {
      if (!sent.targets.includes(from.node)) throw new OutcryError("ack_not_target");
      sent.takeAck(from.node, readAck(data, sent));
    } catch (error) {
      sent.takeRefusal(from.node, "ack", known(error));
    }
  }

  async #takeQuote({ subject, reply, data, headers }: Incoming): Promise<void> {
    const from = parseAnswer(subject);
    if (from === undefined || !replyAllowed(from.node, reply)) return;
    const bytes = data.slice(); // judged later, when nats.js may have used its buffer again
    const request = { nodeId: from.node, intentId: from.intent, bytes, signature: headers.last("Outcry-Signature") };
    const sent = this.#sent.get(from.intent);
    const answer = this.#store(request, sent);
    if (this.answersToDrop > 0) this.answersToDrop--;
    else this.#publish(reply, answer);
    const stored = answer.kind === "stored" ? this.#stored.get(answer.quote_id) : undefined;
    if (stored?.copies === 1) await this.#judge(request, stored, sent!);
  }

  #store(request: QuoteRequest, sent: SentIntent | undefined): QuoteAnswer {
    const { nodeId, bytes } = request;
    try {
      const quote = admitQuote(request, sent);
      // A restarted node repeats its quote in other bytes: the first ones count.
      const stored = this.#stored.get(quote.id) ?? { nodeId, quote, digest: digestOf(bytes), copies: 0 };
      stored.copies++;
      this.#stored.set(quote.id, stored);
      return { kind: "stored", quote_id: quote.id, digest: stored.digest };
    } catch (error) {
      const { code, detail } = sent?.takeRefusal(nodeId, "quote", known(error)) ?? known(error);
      // As the intake, whose replica may lag: the node asks again.
      return { kind: "refused", code, detail, temporary: code === "quote_intent_unknown" };
    }
  }

  async #judge(request: QuoteRequest, stored: SeenQuote, sent: SentIntent): Promise<void> {
    const { nodeId } = request;
    const key = this.#deps.keyOf(nodeId);
    const about = { intent_id: sent.id, quote_id: stored.quote.id };
    try {
      await judgeQuote(request, stored.quote, sent, keySource(key === undefined ? [] : [{ ...key, owner: nodeId }]));
      sent.takeQuote(stored);
      this.#publish(SUBJECTS.nodeNotice(nodeId), { type: "quote_ranked", ...about });
    } catch (error) {
      const { code, detail } = sent.takeRefusal(nodeId, "quote", known(error));
      this.#publish(SUBJECTS.nodeNotice(nodeId), { type: "quote_refused", ...about, code, detail });
    }
  }

  /** Nothing while the server is away: nodes repeat what was not answered. */
  #publish(subject: string, body: QuoteAnswer | Notice): void {
    const { backbone } = this.#deps;
    if (backbone.health.up) backbone.publish(subject, Buffer.from(JSON.stringify(body)));
  }
}

function readAck(data: Uint8Array, { digest, earlier }: SentIntent): Ack {
  const parsed = parseStrict(data, { bytesMax: LIMITS.ackBytesMax });
  if (parsed.kind === "refused") throw new OutcryError(parsed.code, parsed.detail);
  const checked = check(Ack, parsed.value);
  if (checked.kind === "invalid") throw new OutcryError("validation_failed", undefined, { pointers: checked.pointers });
  const { request_digest: acked } = checked.value;
  if (acked !== digest) throw new OutcryError(earlier.has(acked) ? "ack_superseded" : "ack_digest_mismatch");
  return checked.value;
}

function known(error: unknown): OutcryError {
  if (isOutcryError(error)) return error;
  throw error;
}

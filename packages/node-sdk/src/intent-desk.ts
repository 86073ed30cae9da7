// Every intent's way through a node: verify, de-duplicate, acknowledge, let the handler decide, and see its quotes stored.
// The acknowledgement goes out before the handler runs; connections and credentials are others' business.

import {
  buildAck,
  type Clock,
  type DeclineReason,
  digestOf,
  LIMITS,
  type Log,
  type Notice,
  OutcryError,
  revisionOf,
} from "@outcry/protocol";
import type { SigningKey } from "@outcry/signing";
import { settledWithin } from "./alarm.js";
import { type AckAnswer, IntentBook, type OpenIntent, type TakenIntent } from "./intent-book.js";
import { intentContext } from "./intent-context.js";
import type { Incoming, NatsLink } from "./nats-link.js";
import { NODE_LIMITS } from "./limits.js";
import {
  type CancelHandler,
  type DrainReport,
  type IntentHandler,
  noCounters,
  type NodeCounters,
  type NodeEvents,
} from "./options.js";
import { readCancel, readIntent, readNotice, type Reading, type ReadIntent } from "./read-messages.js";
import { type Answer, answerOf, type QuoteReply } from "./reply.js";
import { type QuoteOutcome, sendQuote, signQuote } from "./send-quote.js";
import type { ServiceKeys } from "./service-keys.js";
import { sendAck } from "./send-ack.js";
import { Slots } from "./slots.js";

export interface DeskDeps {
  readonly nodeId: string;
  /** Looked up for each intent: it rotates. */
  readonly key: () => SigningKey;
  readonly link: NatsLink;
  readonly serviceKeys: ServiceKeys;
  readonly handler: IntentHandler;
  readonly onCancel: CancelHandler | undefined;
  readonly emit: <E extends keyof NodeEvents>(event: E, value: NodeEvents[E]) => void;
  readonly concurrency: number;
  readonly openIntentsMax: number;
  readonly signAcks: boolean;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** Sendings of one intent, so that a quote that was sent early is not sent again when it is returned. */
type Sendings = Map<QuoteReply, Promise<QuoteOutcome>>;

export class IntentDesk {
  readonly counters: NodeCounters = noCounters();
  readonly #deps: DeskDeps;
  readonly #book = new IntentBook();
  readonly #slots: Slots;
  readonly #serving = new Set<Promise<void>>();
  #unconfirmed = 0;
  #draining = false;

  constructor(deps: DeskDeps) {
    this.#deps = deps;
    this.#slots = new Slots(deps.concurrency);
  }

  get load(): { waiting: number; running: number; unconfirmedQuotes: number } {
    return { waiting: this.#slots.waiting, running: this.#slots.running, unconfirmedQuotes: this.#unconfirmed };
  }

  async onIntent(message: Incoming): Promise<void> {
    // Without a word: the service sends it again, to whatever runs under this id by then.
    if (this.#draining) return;
    this.counters.received++;
    const digest = digestOf(message.data);
    const attempt = attemptOf(message);
    if (this.#answerAgain(digest, attempt)) return;
    const read = await this.#read(message);
    if (this.#answerAgain(digest, attempt)) return; // its twin came in while the keys were read again
    switch (read.kind) {
      case "refused":
        return this.#reject(read, digest, attempt);
      case "too_late":
        return this.#decline(read.intentId, digest, attempt, "too_late");
      case "intent": {
        const [requestId, traceparent] = [message.header("X-Request-Id"), message.header("traceparent")];
        return this.#take({
          intent: read.intent,
          deadlineMs: read.deadlineMs,
          digest,
          attempt,
          requestId,
          traceparent,
        });
      }
    }
  }

  async onCancelMessage(message: Incoming): Promise<void> {
    const read = await this.#verified(message, readCancel);
    if (read.kind === "refused") {
      this.#deps.log.warn({ code: read.code, detail: read.detail }, "node: a cancel was refused");
      return;
    }
    const { intent_id: intentId, reason } = read.cancel.payload;
    if (!this.#book.noteCancelled(intentId)) return;
    const open = this.#book.openOf(intentId);
    for (const one of open) one.cancel(reason);
    await this.#deps.onCancel?.({ intentId, reason, open: open.length > 0 });
  }

  /** Undefined for what is no notice, or one of a later version. */
  onNoticeMessage(message: Incoming): Notice | undefined {
    const { emit, log } = this.#deps;
    const notice = readNotice(message.data);
    if (notice === undefined) log.warn({ subject: message.subject }, "node: a notice is malformed");
    else if (notice.type === "caught_up") emit("caughtUp", { intents: notice.intents, more: notice.more });
    else emit("notice", notice);
    return notice;
  }

  /** Resolves when every intent that is open now has ended here, its quotes settled. */
  async settled(): Promise<void> {
    await Promise.all(this.#serving);
  }

  /** Takes nothing new; waits for handlers and unconfirmed quotes, and stops what is left when the time is up. */
  async drain(timeoutMs: number): Promise<DrainReport> {
    this.#draining = true;
    if (await settledWithin(Promise.all(this.#serving), timeoutMs)) return { abandoned: 0 };
    const left = this.#book.allOpen();
    for (const open of left) open.stop("the node is stopping", "capacity");
    await settledWithin(Promise.all(this.#serving), NODE_LIMITS.closeMs);
    return { abandoned: left.length };
  }

  /** The same answer as before, under the new attempt. Quotes without a confirmation go out again at once. */
  #answerAgain(digest: string, attempt: number): boolean {
    const known = this.#book.find(digest);
    if (known === undefined) return false;
    if (this.#book.isSuperseded(known)) return true; // without a word: nobody counts it any more
    this.counters.duplicates++;
    this.#ack(known.intentId, digest, attempt, known.answer);
    known.open?.alarm.wake();
    return true;
  }

  #read(message: Incoming): Promise<ReadIntent> {
    return this.#verified(message, readIntent);
  }

  /** Reads a signed message; for an unknown key, once more after the key set was read again. */
  async #verified<T extends { kind: string }>(message: Incoming, read: (reading: Reading) => T): Promise<T> {
    const { clock, nodeId, serviceKeys } = this.#deps;
    const readNow = () =>
      read({
        bytes: message.data,
        signature: message.header("Outcry-Signature"),
        keys: serviceKeys,
        nodeId,
        nowMs: clock.now(),
        timeLeftMs: numberOf(message.header("Outcry-Time-Left-Ms")),
      });
    const first = readNow();
    if (first.kind !== "refused" || (first as { code?: unknown }).code !== "key_unknown") return first;
    await serviceKeys.refetch();
    return readNow();
  }

  #reject(refused: Extract<ReadIntent, { kind: "refused" }>, digest: string, attempt: number): void {
    const { emit } = this.#deps;
    this.counters.rejected++;
    const error = new OutcryError(refused.code, refused.detail);
    emit("error", refused.intentId === undefined ? { error } : { error, intentId: refused.intentId });
    if (refused.intentId === undefined) return; // no subject to say it on
    sendAck(this.#deps, refused.intentId, buildAck(digest, attempt, "rejected", "invalid_intent"));
  }

  #take(taken: TakenIntent): void {
    if (this.#book.isCancelled(taken.intent.id)) return;
    if (!this.#book.noteRevision(taken.intent.id, revisionOf(taken.intent.payload))) return;
    // Not remembered: the same intent may be taken at its next attempt.
    if (this.#book.openCount >= this.#deps.openIntentsMax)
      return this.#decline(taken.intent.id, taken.digest, taken.attempt, "capacity");
    const open = this.#book.open(taken);
    this.#ack(taken.intent.id, taken.digest, taken.attempt, open.answer);
    const served = this.#serve(open).finally(() => this.#serving.delete(served));
    this.#serving.add(served);
  }

  /** A slot is held while the handler runs; its quotes settle behind it. */
  async #serve(open: OpenIntent): Promise<void> {
    const { deadlineMs } = open.taken;
    const deadline = setTimeout(
      () => open.stop("the deadline has passed", "too_late"),
      deadlineMs - this.#deps.clock.now(),
    );
    const sendings: Sendings = new Map();
    const answer = await this.#slots.run(() => this.#decide(open, sendings));
    await this.#settle(open, answer, sendings);
    clearTimeout(deadline);
    this.#book.finish(open);
  }

  async #decide(open: OpenIntent, sendings: Sendings): Promise<Answer> {
    const { handler, nodeId, clock, log, emit } = this.#deps;
    const key = this.#deps.key();
    const { intent, digest, ...rest } = open.taken;
    const context = intentContext({
      ...rest,
      intent,
      nodeId,
      requestDigest: digest,
      signal: open.signal,
      clock,
      sign: (quote) => signQuote(quote, key, echoed(open.taken)),
      send: (reply) => this.#send(open, reply, sendings),
    });
    try {
      return answerOf(await unlessAborted(open.signal, async () => handler(intent, context)));
    } catch (error) {
      if (open.stopReason !== undefined) return { kind: "decline", reason: open.stopReason };
      this.counters.handlerFailures++;
      log.error({ intent: intent.id, error: String(error) }, "node: the handler failed");
      emit("error", { error, intentId: intent.id });
      // Nothing is wrong with the intent: this node just cannot serve it.
      return { kind: "decline", reason: "capacity" };
    }
  }

  async #settle(open: OpenIntent, answer: Answer, sendings: Sendings): Promise<void> {
    if (answer.kind === "quotes") for (const quote of answer.quotes) void this.#send(open, quote, sendings);
    const { intent, digest, attempt, deadlineMs } = open.taken;
    // After a cancel, an amendment or the deadline nobody waits for the word any more.
    if (sendings.size === 0 && !open.cancelled && !open.superseded && this.#deps.clock.now() < deadlineMs) {
      open.answer = { status: "declined", reason: answer.kind === "decline" ? answer.reason : "pass" };
      this.counters.declined++;
      this.#ack(intent.id, digest, attempt, open.answer);
    }
    await Promise.all(sendings.values());
  }

  #send(open: OpenIntent, reply: QuoteReply, sendings: Sendings): Promise<QuoteOutcome> {
    const underWay = sendings.get(reply);
    if (underWay !== undefined) return underWay;
    const sending = this.#sendUntilSettled(open, reply);
    sendings.set(reply, sending);
    return sending;
  }

  async #sendUntilSettled(open: OpenIntent, { quoteId, signed }: QuoteReply): Promise<QuoteOutcome> {
    const { deadlineMs, intent } = open.taken;
    this.#unconfirmed++;
    const outcome = await sendQuote(this.#deps, signed, {
      deadlineMs,
      signal: open.signal,
      alarm: open.alarm,
      cancelled: () => open.cancelled || open.superseded,
    });
    this.#unconfirmed--;
    if (outcome.kind === "stored") this.counters.quotesStored++;
    if (outcome.kind === "refused") this.counters.quotesRefused++;
    if (outcome.kind === "unconfirmed") this.counters.quotesUnconfirmed++;
    this.#deps.emit("quote", { intentId: intent.id, quoteId, outcome });
    return outcome;
  }

  #decline(intentId: string, digest: string, attempt: number, reason: DeclineReason): void {
    this.counters.declined++;
    this.#ack(intentId, digest, attempt, { status: "declined", reason });
  }

  /** At most once: an ack that is lost is earned again when the service repeats the intent. */
  #ack(intentId: string, digest: string, attempt: number, answer: AckAnswer): void {
    const reason = answer.status === "declined" ? answer.reason : undefined;
    sendAck(this.#deps, intentId, buildAck(digest, attempt, answer.status, reason));
  }
}

/** A handler that ignores its signal must not hold its slot for ever. */
function unlessAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const end = () => reject(signal.reason as Error);
    signal.addEventListener("abort", end, { once: true });
    work()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener("abort", end));
  });
}

/** The trace goes back with the quote. */
const echoed = ({ traceparent, requestId }: TakenIntent): Record<string, string> => ({
  ...(traceparent === undefined ? {} : { traceparent }),
  ...(requestId === undefined ? {} : { "X-Request-Id": requestId }),
});

function attemptOf(message: Incoming): number {
  const attempt = numberOf(message.header("Outcry-Attempt")) ?? 1;
  return attempt >= 1 && attempt <= LIMITS.attemptsCeiling ? attempt : 1;
}

const numberOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;

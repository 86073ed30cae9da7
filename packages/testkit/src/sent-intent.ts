// One intent that the market has sent, and all that its nodes answered. Answers come in through take…(); tests wait on the rest.

import { EventEmitter, once } from "node:events";
import {
  type Ack,
  canMove,
  canonicalize,
  type DeliveryState,
  type ErrorCode,
  FINAL_STATES,
  type Intent,
  newId,
  OutcryError,
  type Quote,
} from "@outcry/protocol";
import { signIntent, type SigningKey } from "@outcry/signing";

const WAIT_DEFAULT_MS = 5_000; // covers a reconnect (0.5 s) and a repeated quote (2 s)

export interface SeenAck extends Pick<Ack, "status" | "reason" | "attempt"> {
  readonly nodeId: string;
}

export interface SeenQuote {
  readonly nodeId: string;
  readonly quote: Quote;
  readonly digest: string;
  /** How often the node has sent it: more than once when answers were lost. */
  copies: number;
}

/** An answer that does not count; `code` is of docs/errors.md. */
export interface SeenRefusal {
  readonly nodeId: string;
  readonly answer: "ack" | "quote";
  readonly code: ErrorCode;
  readonly detail: string;
}

type States = Readonly<Record<string, DeliveryState>>;

export interface SentIntentParts {
  readonly intent: Intent;
  readonly key: SigningKey;
  /** Node id → the name it was given. */
  readonly targets: ReadonlyMap<string, string>;
  readonly attempt: number;
  /** False for a forgery: the service would not know it. */
  readonly recorded: boolean;
  /** The revision that this one replaces. */
  readonly previous?: SentIntent;
}

export class SentIntent {
  readonly intent: Intent;
  readonly bytes: Uint8Array;
  readonly signature: string;
  readonly digest: string;
  readonly recorded: boolean;
  /** Digests of the revisions before. */
  readonly earlier: ReadonlySet<string>;
  readonly requestId = newId("req");
  readonly traceparent: string;
  readonly acks: SeenAck[] = [];
  /** Those that count. */
  readonly quotes: SeenQuote[] = [];
  readonly refusals: SeenRefusal[] = [];
  /** Of the latest sending. */
  attempt: number;
  cancelled = false;
  readonly #names: ReadonlyMap<string, string>;
  readonly #states: Map<string, DeliveryState>;
  /** Quotes and their refusals in the order of their judgement, which nextQuote() walks along. */
  readonly #judged: (SeenQuote | OutcryError)[] = [];
  readonly #changes = new EventEmitter();

  constructor({ intent, key, targets, attempt, recorded, previous }: SentIntentParts) {
    this.intent = intent;
    this.bytes = canonicalize(intent);
    ({ jws: this.signature, digest: this.digest } = signIntent(intent, key));
    this.attempt = attempt;
    this.recorded = recorded;
    this.earlier = previous === undefined ? new Set() : new Set([...previous.earlier, previous.digest]);
    this.traceparent = `00-${intent.trace_id}-${intent.trace_id.slice(16)}-01`;
    this.#names = targets;
    this.#states = new Map([...targets.keys()].map((nodeId) => [nodeId, "pending"]));
  }

  get id(): string {
    return this.intent.id;
  }

  get deadlineMs(): number {
    return Date.parse(this.intent.payload.quote_deadline);
  }

  /** Node id → the name it was given. */
  get names(): ReadonlyMap<string, string> {
    return this.#names;
  }

  get targets(): string[] {
    return [...this.#states.keys()];
  }

  /** By node id, as the service would account for them; nobody is timed out here. */
  get states(): States {
    return Object.fromEntries(this.#states);
  }

  /** The first ack to the latest sending. */
  ack(timeoutMs: number = WAIT_DEFAULT_MS): Promise<SeenAck> {
    const wanted = this.attempt;
    return this.#until(() => this.acks.find(({ attempt }) => attempt === wanted), timeoutMs, `no ack of ${wanted}`);
  }

  /** The next quote that counts. Throws the OutcryError of one that does not, and at once when all nodes have declined. */
  async nextQuote(timeoutMs: number = WAIT_DEFAULT_MS): Promise<Quote> {
    const next = await this.#until(() => this.#judged[0] ?? this.#nobodyQuotes(), timeoutMs, "no quote");
    if (next === "nobody") throw new Error(`no quote will come: ${this.#account()}`);
    this.#judged.shift();
    if (next instanceof OutcryError) throw next;
    return next.quote;
  }

  /** Resolves when each node has quoted, declined or rejected, or the intent is cancelled. */
  settled(timeoutMs: number = WAIT_DEFAULT_MS): Promise<States> {
    const final = () => [...this.#states.values()].every((state) => FINAL_STATES.has(state));
    return this.#until(() => (final() ? this.states : undefined), timeoutMs, "not settled");
  }

  takeAck(nodeId: string, { status, reason, attempt }: Ack): void {
    this.acks.push({ nodeId, status, attempt, ...(reason === undefined ? {} : { reason }) });
    this.#move(nodeId, status === "accepted" ? "acked" : status);
  }

  takeQuote(quote: SeenQuote): void {
    this.quotes.push(quote);
    this.#judged.push(quote);
    this.#move(quote.nodeId, "quoted");
  }

  takeRefusal(nodeId: string, answer: SeenRefusal["answer"], error: OutcryError): OutcryError {
    this.refusals.push({ nodeId, answer, code: error.code, detail: error.detail });
    if (answer === "quote") this.#judged.push(error);
    this.#changes.emit("change");
    return error;
  }

  takeCancel(): void {
    this.cancelled = true;
    for (const nodeId of this.#states.keys()) this.#move(nodeId, "cancelled");
  }

  #move(nodeId: string, to: DeliveryState): void {
    const from = this.#states.get(nodeId);
    if (from !== undefined && canMove(from, to)) this.#states.set(nodeId, to);
    this.#changes.emit("change");
  }

  #nobodyQuotes(): "nobody" | undefined {
    const states = [...this.#states.values()];
    return states.every((state) => FINAL_STATES.has(state) && state !== "quoted") ? "nobody" : undefined;
  }

  async #until<T>(probe: () => T | undefined, timeoutMs: number, otherwise: string): Promise<T> {
    const signal = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const found = probe();
      if (found !== undefined) return found;
      await once(this.#changes, "change", { signal }).catch(() => {
        throw new Error(`${otherwise} within ${timeoutMs} ms: ${this.#account()}`);
      });
    }
  }

  /** What is known of each node, for the person who reads a failed test. */
  #account(): string {
    return this.targets
      .map((nodeId) => {
        const reasons = this.acks.filter((ack) => ack.nodeId === nodeId).map(({ reason }) => reason);
        const codes = this.refusals.filter((one) => one.nodeId === nodeId).map(({ code }) => code);
        const why = [reasons.at(-1), ...codes].filter((text) => text !== undefined).join(", ");
        return `${this.#names.get(nodeId)} is ${this.#states.get(nodeId)}${why === "" ? "" : ` (${why})`}`;
      })
      .join("; ");
  }
}

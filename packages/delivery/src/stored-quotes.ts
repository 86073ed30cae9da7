// The quotes of one intent as QUOTES holds them, and what became of each.

import { type Backbone, readAll, serially } from "@outcry/backbone";
import { type Event, type EventData, type Quote, STREAMS, SUBJECTS, TOPICS } from "@outcry/protocol";
import type { LoadedIntent } from "./intent-book.js";
import { decodeEvent } from "./read-topic.js";
import { QUOTE_SIGNATURE_HEADER } from "./intake-job.js";

export interface StoredQuote {
  quoteId: string;
  nodeId: string;
  seq: number;
  storedMs: number;
  /** Undefined when the bytes are no JSON: such a message is refused like any other that does not verify. */
  quote: Quote | undefined;
  signature: string;
}

const READERS_KEPT = 64; // jobs of a worker at a time mostly share their intents; one that is gone reads from the start

const decoder = new TextDecoder();

export async function storedQuotes(backbone: Backbone, intentId: string): Promise<StoredQuote[]> {
  const quotes: StoredQuote[] = [];
  for await (const stored of readAll(backbone, STREAMS.quotes, { filter: SUBJECTS.quotesOf(intentId) })) {
    const [, , nodeId, quoteId] = stored.subject.split(".");
    quotes.push({
      quoteId: quoteId!,
      nodeId: nodeId!,
      seq: stored.seq,
      storedMs: stored.time,
      quote: readQuote(stored.data),
      signature: stored.headers.last(QUOTE_SIGNATURE_HEADER) ?? "",
    });
  }
  return quotes;
}

function readQuote(data: Uint8Array): Quote | undefined {
  try {
    return JSON.parse(decoder.decode(data)) as Quote;
  } catch {
    return undefined;
  }
}

export type QuoteOutcome =
  | { kind: "received"; received: EventData<"QUOTE_RECEIVED"> }
  | { kind: "refused"; code: string; detail: string };

type QuoteName = Pick<StoredQuote, "quoteId" | "nodeId">;

/** Outcome by quote id; a quote that is missing here is still being judged. */
export function quoteOutcomes(
  backbone: Backbone,
  intent: LoadedIntent,
  quotes: readonly QuoteName[],
): Promise<ReadonlyMap<string, QuoteOutcome>> {
  return new OutcomeReader(backbone, intent).read(quotes);
}

/** For whoever looks again and again: each look reads what was told since the one before, one look at a time. */
export class OutcomeReader {
  readonly #backbone: Backbone;
  readonly #topic: string;
  readonly #outcomes = new Map<string, QuoteOutcome>();
  /** The first event of the intent: nothing on its nodes' topics is older than it. */
  #createdSeq = 0;
  /** Last sequence read, by topic. */
  readonly #seen = new Map<string, number>();
  readonly #inTurn = serially();

  constructor(backbone: Backbone, { topic }: Pick<LoadedIntent, "topic">) {
    this.#backbone = backbone;
    this.#topic = topic;
  }

  /** Outcomes of these quotes, and others. */
  read(quotes: readonly QuoteName[]): Promise<ReadonlyMap<string, QuoteOutcome>> {
    return this.#inTurn(() => this.#read(quotes));
  }

  async #read(quotes: readonly QuoteName[]): Promise<ReadonlyMap<string, QuoteOutcome>> {
    await this.#readOn(this.#topic, 0, ({ type, data }, seq) => {
      this.#createdSeq ||= seq;
      if (type !== "QUOTE_RECEIVED") return;
      const received = data as EventData<"QUOTE_RECEIVED">;
      this.#outcomes.set(received.quote_id, { kind: "received", received });
    });
    // Refusals concern the node alone and stand on its own topic.
    const missing = quotes.filter(({ quoteId }) => !this.#outcomes.has(quoteId));
    for (const node of new Set(missing.map(({ nodeId }) => nodeId)))
      await this.#readOn(TOPICS.node(node), this.#createdSeq, ({ type, data }) => {
        if (type !== "QUOTE_REFUSED") return;
        const { quote_id, code, detail } = data as EventData<"QUOTE_REFUSED">;
        this.#outcomes.set(quote_id, { kind: "refused", code, detail });
      });
    return this.#outcomes;
  }

  async #readOn(topic: string, fromSeq: number, take: (event: Event, seq: number) => void): Promise<void> {
    const from = Math.max(fromSeq, (this.#seen.get(topic) ?? 0) + 1);
    for await (const { data, seq } of readAll(this.#backbone, STREAMS.events, { filter: topic, fromSeq: from })) {
      take(decodeEvent(data), seq);
      this.#seen.set(topic, seq);
    }
  }
}

/** Readers of the intents whose quotes are judged again just now: behind a killed worker hundreds of one intent are. */
export class OutcomeReaders {
  readonly #backbone: Backbone;
  readonly #kept = new Map<string, OutcomeReader>(); // in order of use

  constructor(backbone: Backbone) {
    this.#backbone = backbone;
  }

  of(intent: Pick<LoadedIntent, "id" | "topic">): OutcomeReader {
    const reader = this.#kept.get(intent.id) ?? new OutcomeReader(this.#backbone, intent);
    this.#kept.delete(intent.id);
    this.#kept.set(intent.id, reader);
    if (this.#kept.size > READERS_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    return reader;
  }
}

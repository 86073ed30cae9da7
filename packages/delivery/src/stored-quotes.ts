// The quotes of one intent as QUOTES holds them, and what became of each.

import { type Backbone, readAll } from "@outcry/backbone";
import { type EventData, type Quote, STREAMS, SUBJECTS, TOPICS } from "@outcry/protocol";
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

/** Outcome by quote id; a quote that is missing here is still being judged. */
export async function quoteOutcomes(
  backbone: Backbone,
  intent: LoadedIntent,
  quotes: readonly Pick<StoredQuote, "quoteId" | "nodeId">[],
): Promise<Map<string, QuoteOutcome>> {
  const outcomes = new Map<string, QuoteOutcome>();
  let createdSeq = 0;
  for await (const stored of readAll(backbone, STREAMS.events, { filter: intent.topic })) {
    createdSeq ||= stored.seq;
    const event = decodeEvent(stored.data);
    if (event.type !== "QUOTE_RECEIVED") continue;
    const received = event.data as EventData<"QUOTE_RECEIVED">;
    outcomes.set(received.quote_id, { kind: "received", received });
  }
  // Refusals concern the node alone and stand on its own topic; nothing there is older than the intent.
  const nodes = new Set(quotes.filter(({ quoteId }) => !outcomes.has(quoteId)).map(({ nodeId }) => nodeId));
  for (const node of nodes) await readRefusals(backbone, node, createdSeq, outcomes);
  return outcomes;
}

async function readRefusals(
  backbone: Backbone,
  node: string,
  fromSeq: number,
  outcomes: Map<string, QuoteOutcome>,
): Promise<void> {
  for await (const stored of readAll(backbone, STREAMS.events, { filter: TOPICS.node(node), fromSeq })) {
    const event = decodeEvent(stored.data);
    if (event.type !== "QUOTE_REFUSED") continue;
    const { quote_id, code, detail } = event.data as EventData<"QUOTE_REFUSED">;
    outcomes.set(quote_id, { kind: "refused", code, detail });
  }
}

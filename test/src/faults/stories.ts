// What the record says of one delivery or intent, in a line: a violation that is seen once in ten runs must say enough at that one time.

import type { Event, EventData } from "@outcry/protocol";
import type { Index, IntentEntry } from "./history.js";
import type { Entry } from "./record.js";

const STORY_EVENTS_MAX = 40; // a soak has intents with a thousand

/** Events of the intent that concern the node, by sequence, and what became of its quotes. */
export function nodeStory(index: Index, intentId: string, node: string): string {
  const intent = index.intents.get(intentId);
  const end = index.ends.get(intentId)?.[0];
  const told = (intent?.events ?? []).flatMap((entry) => {
    const word = wordOf(entry.value, node);
    return word === undefined ? [] : [`${entry.seq} ${word} +${since(intent!.events[0]!, entry)}`];
  });
  const quotes = new Map<string, number>();
  for (const [quoteId, [quote]] of index.quotes) {
    if (!quote!.subject.startsWith(`quotes.${intentId}.${node}.`)) continue;
    const outcome = index.outcomes.get(quoteId)?.[0]?.value;
    const code = outcome?.type === "QUOTE_REFUSED" ? ` ${(outcome.data as EventData<"QUOTE_REFUSED">).code}` : "";
    const word = `${outcome?.type ?? "no outcome"}${code}`;
    quotes.set(word, (quotes.get(word) ?? 0) + 1);
  }
  const ended =
    end === undefined
      ? "no end"
      : `ended +${since(intent!.events[0]!, end)}, quotes through ${end.value.quotes_through}`;
  const judged = [...quotes].map(([word, count]) => `${count} ${word}`).join(", ") || "none";
  return `${told.join("; ")}; ${ended}; its quotes: ${judged}`;
}

/** The last events of the intent, with what is recorded of it. */
export function intentStory({ events, revisions }: IntentEntry): string {
  const told = events
    .slice(-STORY_EVENTS_MAX)
    .map((entry) => `${entry.seq} ${entry.value.type} +${since(events[0]!, entry)}`);
  return `${revisions.length} amendments; ${told.join("; ")}`;
}

function wordOf({ type, data }: Event, node: string): string | undefined {
  if (type === "NODE_RESPONDED") {
    const { responses } = data as EventData<"NODE_RESPONDED">;
    const own = responses.filter(({ node_id }) => node_id === node).map(({ status }) => status);
    return own.length === 0 ? undefined : own.join(" ");
  }
  const { node_id, node_ids } = data as { node_id?: string; node_ids?: string[] };
  const concerned = node_id === undefined ? (node_ids?.includes(node) ?? true) : node_id === node;
  return concerned ? type : undefined;
}

const since = (first: Entry<Event>, { timeMs }: Pick<Entry<Event>, "timeMs">): string => `${timeMs - first.timeMs} ms`;

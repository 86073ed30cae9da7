// 300 shopping intents as a marketplace would post them: the test data's rows, or a seeded set of the same shape where it is absent.
// The query texts are people's own; budgets, regions and quantities are partly synthetic.

import type { IntentRequest } from "@outcry/protocol";
import { hasCorpus, readData } from "./corpus-files.js";

/** A line of intents.jsonl, as far as an intent can say it. */
interface Row {
  query: string;
  category?: string;
  description?: string;
  currency?: string;
  budget_max_minor?: number;
  quantity?: number;
  region?: string;
  domain?: string;
  line_items?: { description?: string | null; quantity?: number | null; unit?: unknown }[];
}

const CURRENCY_IF_NONE = "EUR"; // 21 rows name no currency, and without one no quote can be compared

export const intentsSource: "real" | "generated" = hasCorpus ? "real" : "generated";

/** Always 300, in the order of the file. */
export function realIntents(): IntentRequest[] {
  const rows = hasCorpus
    ? readData("intents/intents.jsonl")
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as Row)
    : generatedRows(300, 7);
  return rows.map(requestOf);
}

function requestOf(row: Row): IntentRequest {
  const { description, budget_max_minor: budgetMinor, region } = row;
  return {
    ...(description === undefined ? {} : { description }),
    line_items: lineItemsOf(row),
    context: {
      currency: row.currency ?? CURRENCY_IF_NONE,
      ...(region !== undefined && /^[A-Z]{2}$/.test(region) ? { region } : {}),
    },
    ...(budgetMinor === undefined ? {} : { budget: { max_minor: budgetMinor } }),
    ...(row.domain === "service" ? { fulfilment: { method: "service" as const } } : {}),
  };
}

function lineItemsOf(row: Row): IntentRequest["line_items"] {
  const { query, category, quantity, line_items: lines = [] } = row;
  if (lines.length > 0)
    return lines.map((line) => ({ query: line.description ?? query, ...quantityOf(line.quantity) }));
  return [{ query, ...(category === undefined ? {} : { category }), ...quantityOf(quantity) }];
}

const quantityOf = (quantity: number | null | undefined): { quantity?: number } =>
  Number.isSafeInteger(quantity) && quantity! >= 1 ? { quantity: quantity! } : {};

const KINDS = ["chair", "desk lamp", "trail running shoes", "Küchenmesser", "rice cooker", "linen curtains", "卷尺"];
const TRAITS = [
  "blue",
  "size 42",
  "under 30 dollars",
  "with free returns",
  "made of oak",
  "for two people",
  "waterproof",
];

/** The same rows for the same seed, with the gaps of the real ones: about one in fourteen names neither currency nor budget. */
function generatedRows(count: number, seed: number): Row[] {
  const next = mulberry32(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
  return Array.from({ length: count }, (_, index) => {
    const query = `${pick(TRAITS)} ${pick(KINDS)} ${pick(TRAITS)}, number ${index}`;
    if (index % 14 === 13) return { query };
    return {
      query,
      ...(next() < 0.3 ? { category: pick(KINDS) } : {}),
      currency: pick(["USD", "USD", "USD", "GBP", "PYG"]),
      budget_max_minor: Math.floor(10 ** (3 + next() * 7)),
      quantity: 1 + Math.floor(next() * 6),
      region: pick(["US", "US", "GB", "DE", "IN", "CA"]),
    };
  });
}

/** A small generator with a seed: Math.random has none. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// The intents that are posted: real ones where the test data lies beside the repository, else a generated, seeded set.

import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import type { IntentRequest } from "@outcry/protocol";
import { repository } from "../workspaces.js";

const folder = process.env["OUTCRY_TEST_DATA"] ?? path.resolve(repository, "../shared/data");
const file = path.join(folder, "intents", "intents.jsonl");

interface Line {
  query: string;
  /** Some of the real ones name none. */
  currency: string | null;
  budget_max_minor?: number | null;
  quantity?: number | null;
  region?: string | null;
}

export interface IntentSet {
  origin: string;
  requests: IntentRequest[];
}

export function readIntents(): IntentSet {
  if (!existsSync(file)) return { origin: "300 generated intents (the test data is absent)", requests: generated(300) };
  const lines = readFileSync(file, "utf8").trim().split("\n");
  const requests = lines.map((line) => requestOf(JSON.parse(line) as Line));
  return { origin: `${requests.length} intents of ${path.basename(folder)}/intents/intents.jsonl`, requests };
}

const requestOf = (line: Line): IntentRequest => ({
  line_items: [{ query: line.query, ...(line.quantity ? { quantity: line.quantity } : {}) }],
  context: { currency: line.currency ?? "USD", ...(line.region ? { region: line.region } : {}) },
  ...(line.budget_max_minor ? { budget: { max_minor: line.budget_max_minor } } : {}),
});

const WORDS = [
  "red",
  "oak",
  "desk",
  "size",
  "42",
  "running",
  "shoes",
  "waterproof",
  "for",
  "children",
  "two",
  "metres",
  "steel",
];

function generated(count: number): IntentRequest[] {
  let state = 20_261_120; // a linear congruential generator (Numerical Recipes): the same set everywhere
  const below = (bound: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % bound;
  };
  return Array.from({ length: count }, () =>
    requestOf({
      query: Array.from({ length: 5 + below(12) }, () => WORDS[below(WORDS.length)]!).join(" "),
      currency: "EUR",
      budget_max_minor: 500 + below(100_000),
      quantity: 1 + below(5),
      region: "DE",
    }),
  );
}

// The order of an intent's quotes and how it came about. A quote's score depends on the intent and the quote alone, so it is known when the quote
// arrives and never changes; anyone can recompute it from the explanation. Ranking awards nothing.

import { LIMITS } from "@outcry/protocol";

export interface RankableQuote {
  readonly id: string;
  readonly nodeId: string;
  readonly totalMinor: number;
  readonly quoteType: "firm" | "indicative";
  /** Position in the record: who was first. */
  readonly storedSeq: number;
  /** An earlier quote of the same node that this one replaces. */
  readonly supersedes?: string | undefined;
}

export interface RankOptions {
  /** Integer minor units in the quotes' currency. */
  readonly budgetMinor?: number | undefined;
  readonly quotesPerNodeMax?: number | undefined;
}

export interface ScoreTerm {
  term: "price" | "firm" | "within_budget";
  /** 0 … 1,000,000 */
  value: number;
  /** Thousandths; they add up to 1,000. */
  weight: number;
  /** floor(value · weight / 1,000) */
  points: number;
}

/** `score` is the sum of the points. */
export interface RankExplanation {
  method: "outcry.rank.v1";
  terms: ScoreTerm[];
  score: number;
}

export interface Score {
  score: number;
  overBudget: boolean;
  explanation: RankExplanation;
}

export type RankedQuote<Q> = Score & { rank: number; quote: Q };
export type UnrankedQuote<Q> = { quote: Q; reason: "superseded"; by: string } | { quote: Q; reason: "over_node_limit" };

export interface Ranking<Q> {
  ranked: RankedQuote<Q>[];
  unranked: UnrankedQuote<Q>[];
}

const FULL = 1_000_000;
const REFERENCE_MINOR = 10_000; // what stands for the budget where there is none; it only sets where prices spread best
const WEIGHTS = { price: 900, firm: 50, within_budget: 50 } as const;

/** price = floor(1,000,000 · ref / (ref + total)) with ref the budget: half of all points when the total equals it. */
export function scoreQuote(
  quote: Pick<RankableQuote, "totalMinor" | "quoteType">,
  options: Pick<RankOptions, "budgetMinor"> = {},
): Score {
  const { budgetMinor } = options;
  const overBudget = budgetMinor !== undefined && quote.totalMinor > budgetMinor;
  const terms = [
    termOf("price", priceValue(quote.totalMinor, budgetMinor)),
    termOf("firm", quote.quoteType === "firm" ? FULL : 0),
    termOf("within_budget", overBudget ? 0 : FULL),
  ];
  const score = terms.reduce((sum, { points }) => sum + points, 0);
  return { score, overBudget, explanation: { method: "outcry.rank.v1", terms, score } };
}

/** Best first; ties go to the earlier stored, then to the smaller id. The order of the input does not matter. */
export function rankQuotes<Q extends RankableQuote>(quotes: readonly Q[], options: RankOptions = {}): Ranking<Q> {
  const inOrder = distinctById(quotes);
  const unranked: UnrankedQuote<Q>[] = [];
  const supersededBy = supersessions(inOrder);
  const perNode = new Map<string, number>();
  const scored: (Score & { quote: Q })[] = [];
  for (const quote of inOrder) {
    const by = supersededBy.get(quote.id);
    if (by !== undefined) {
      unranked.push({ quote, reason: "superseded", by });
      continue;
    }
    const nth = (perNode.get(quote.nodeId) ?? 0) + 1;
    perNode.set(quote.nodeId, nth);
    if (nth > (options.quotesPerNodeMax ?? LIMITS.quotesPerNodeMax))
      unranked.push({ quote, reason: "over_node_limit" });
    else scored.push({ quote, ...scoreQuote(quote, options) });
  }
  // `inOrder` is by (storedSeq, id) and sorting is stable, so equal scores keep that order.
  const ranked = scored.toSorted((a, b) => b.score - a.score).map((entry, index) => ({ rank: index + 1, ...entry }));
  return { ranked, unranked };
}

function termOf(term: ScoreTerm["term"], value: number): ScoreTerm {
  const weight = WEIGHTS[term];
  return { term, value, weight, points: Math.floor((value * weight) / 1_000) };
}

function priceValue(totalMinor: number, budgetMinor: number | undefined): number {
  // A budget of 0 would make every price worthless, a free one included.
  const reference = BigInt(budgetMinor === undefined || budgetMinor === 0 ? REFERENCE_MINOR : budgetMinor);
  return Number((BigInt(FULL) * reference) / (reference + BigInt(totalMinor))); // 10^6 · 2^53 is beyond doubles
}

function distinctById<Q extends RankableQuote>(quotes: readonly Q[]): Q[] {
  const seen = new Set<string>();
  const inOrder = quotes.toSorted((a, b) => a.storedSeq - b.storedSeq || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  return inOrder.filter(({ id }) => !seen.has(id) && seen.add(id));
}

/** Only an earlier quote of the same node can be superseded, so no chain closes on itself and no node removes another's. */
function supersessions(inOrder: readonly RankableQuote[]): Map<string, string> {
  const nodeOf = new Map<string, string>();
  const by = new Map<string, string>();
  for (const { id, nodeId, supersedes } of inOrder) {
    if (supersedes !== undefined && nodeOf.get(supersedes) === nodeId && !by.has(supersedes)) by.set(supersedes, id);
    nodeOf.set(id, nodeId);
  }
  return by;
}

import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type RankableQuote, rankQuotes, scoreQuote } from "./rank-quotes.js";

let seq = 0;
const quote = (id: string, totalMinor: number, more: Partial<RankableQuote> = {}): RankableQuote => ({
  id,
  nodeId: `node-of-${id}`,
  totalMinor,
  quoteType: "firm",
  storedSeq: ++seq,
  ...more,
});
const order = (quotes: RankableQuote[], options = {}) =>
  rankQuotes(quotes, options).ranked.map(({ quote: { id } }) => id);

describe("scoreQuote", () => {
  test("explains each point", () => {
    expect(scoreQuote({ totalMinor: 9_000, quoteType: "firm" }, { budgetMinor: 9_000 })).toEqual({
      score: 550_000,
      overBudget: false,
      explanation: {
        method: "outcry.rank.v1",
        terms: [
          { term: "price", value: 500_000, weight: 900, points: 450_000 },
          { term: "firm", value: 1_000_000, weight: 50, points: 50_000 },
          { term: "within_budget", value: 1_000_000, weight: 50, points: 50_000 },
        ],
        score: 550_000,
      },
    });
  });

  test.each([
    ["free", 0, 1_000, 1_000_000, false],
    ["over the budget", 1_001, 1_000, 499_775, true],
    ["without a budget, against 100.00", 10_000, undefined, 550_000, false],
    ["a budget of nothing, met", 0, 0, 1_000_000, false],
    ["a budget of nothing, missed", 10_000, 0, 500_000, true],
    ["the largest amount", Number.MAX_SAFE_INTEGER, undefined, 100_000, false],
    ["the largest amount and budget", Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 550_000, false],
  ])("%s", (_name, totalMinor, budgetMinor, score, overBudget) => {
    expect(scoreQuote({ totalMinor, quoteType: "firm" }, { budgetMinor })).toMatchObject({ score, overBudget });
  });
});

describe("rankQuotes", () => {
  test("cheaper first, a firm one before an indicative one of the same price, the earlier one on a tie", () => {
    const quotes = [
      quote("dear", 500),
      quote("late", 400),
      quote("cheap", 300),
      quote("vague", 300, { quoteType: "indicative" }),
      quote("tie", 300),
    ];
    expect(order(quotes, { budgetMinor: 450 })).toEqual(["cheap", "tie", "vague", "late", "dear"]);
    const { ranked } = rankQuotes(quotes, { budgetMinor: 450 });
    expect(ranked.map(({ rank, overBudget }) => [rank, overBudget])).toEqual([
      [1, false],
      [2, false],
      [3, false],
      [4, false],
      [5, true],
    ]);
  });

  test("a superseded quote leaves the ranking and is kept with the reason, along a chain", () => {
    const nodeId = "nod_a";
    const quotes = [
      quote("a0", 100, { nodeId }),
      quote("a1", 200, { nodeId, supersedes: "a0" }),
      quote("a2", 300, { nodeId, supersedes: "a1" }),
    ];
    const { ranked, unranked } = rankQuotes(quotes);
    expect(ranked.map(({ quote: { id } }) => id)).toEqual(["a2"]);
    expect(unranked).toEqual([
      { quote: quotes[0], reason: "superseded", by: "a1" },
      { quote: quotes[1], reason: "superseded", by: "a2" },
    ]);
  });

  test("no node supersedes another's quote, itself, or a later one", () => {
    const mine = quote("m", 100, { nodeId: "nod_m", supersedes: "later" });
    const selfish = quote("s", 120, { supersedes: "s" });
    const thief = quote("t", 150, { nodeId: "nod_t", supersedes: "m" });
    const later = quote("later", 90, { nodeId: "nod_m" });
    expect(order([mine, selfish, thief, later])).toEqual(["later", "m", "s", "t"]);
  });

  test("a node's surplus quotes are not ranked; superseded ones do not count", () => {
    const nodeId = "nod_a";
    const quotes = [
      quote("q0", 400, { nodeId }),
      quote("q1", 300, { nodeId, supersedes: "q0" }),
      quote("q2", 200, { nodeId }),
      quote("q3", 100, { nodeId }),
    ];
    const { ranked, unranked } = rankQuotes(quotes, { quotesPerNodeMax: 2 });
    expect(ranked.map(({ quote: { id } }) => id)).toEqual(["q2", "q1"]);
    expect(unranked.map(({ quote: { id }, reason }) => [id, reason])).toEqual([
      ["q0", "superseded"],
      ["q3", "over_node_limit"],
    ]);
  });

  test("a quote that arrives twice is ranked once", () => {
    const once = quote("once", 100);
    expect(order([once, { ...once }])).toEqual(["once"]);
  });
});

const amounts = fc.oneof(fc.nat(2_000), fc.maxSafeInteger().map(Math.abs));
const budgets = fc.option(amounts, { nil: undefined });
const ids = fc.constantFrom(..."abcdefghij".split(""));
const quotes = fc.uniqueArray(
  fc.record({
    id: ids,
    nodeId: fc.constantFrom("n1", "n2", "n3"),
    totalMinor: amounts,
    quoteType: fc.constantFrom("firm" as const, "indicative" as const),
    storedSeq: fc.nat(5),
    supersedes: fc.option(ids, { nil: undefined }),
  }),
  { selector: ({ id }) => id },
);

describe("properties", () => {
  test("the order of the input does not matter, nothing is lost, ranks count up", () => {
    fc.assert(
      fc.property(
        quotes,
        budgets,
        fc.nat(4),
        fc.infiniteStream(fc.nat()),
        (all, budgetMinor, quotesPerNodeMax, dice) => {
          const options = { budgetMinor, quotesPerNodeMax };
          const shuffled = all.map((each) => [dice.next().value, each] as const).toSorted((a, b) => a[0] - b[0]);
          const ranking = rankQuotes(all, options);
          expect(
            rankQuotes(
              shuffled.map(([, each]) => each),
              options,
            ),
          ).toEqual(ranking);
          expect(ranking.ranked.length + ranking.unranked.length).toBe(all.length);
          expect(ranking.ranked.map(({ rank }) => rank)).toEqual(ranking.ranked.map((_, index) => index + 1));
        },
      ),
    );
  });

  test("a lower price never scores less, being firm always scores more, and the explanation adds up", () => {
    fc.assert(
      fc.property(amounts, amounts, budgets, (one, other, budgetMinor) => {
        const [low, high] = one < other ? [one, other] : [other, one];
        const cheap = scoreQuote({ totalMinor: low, quoteType: "firm" }, { budgetMinor });
        const dear = scoreQuote({ totalMinor: high, quoteType: "firm" }, { budgetMinor });
        expect(cheap.score).toBeGreaterThanOrEqual(dear.score);
        expect(scoreQuote({ totalMinor: low, quoteType: "indicative" }, { budgetMinor }).score).toBeLessThan(
          cheap.score,
        );
        for (const { score, explanation } of [cheap, dear]) {
          const points = explanation.terms.map(({ value, weight }) => Math.floor((value * weight) / 1_000));
          expect(points).toEqual(explanation.terms.map((term) => term.points));
          expect(points.reduce((sum, each) => sum + each)).toBe(score);
          expect(Number.isSafeInteger(score) && score >= 0 && score <= 1_000_000).toBe(true);
        }
      }),
    );
  });

  test("a quote's score in a ranking is its score alone", () => {
    fc.assert(
      fc.property(quotes, budgets, (all, budgetMinor) => {
        for (const { quote: each, score } of rankQuotes(all, { budgetMinor }).ranked)
          expect(score).toBe(scoreQuote(each, { budgetMinor }).score);
      }),
    );
  });
});

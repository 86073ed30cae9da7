import { describe, expect, test } from "@jest/globals";
import { Overlap, subjectMatches } from "./overlap.js";

test("subjects match filters as NATS says", () => {
  const matching = [
    ["a.b", "a.b"],
    ["a.*", "a.b"],
    ["a.>", "a.b.c"],
    [">", "a"],
    ["*.b.>", "a.b.c"],
  ] as const;
  const others = [
    ["a.b", "a.b.c"],
    ["a.*", "a.b.c"],
    ["a.>", "a"],
    ["a.*", "a"],
    ["*.x", "a.b"],
  ] as const;
  expect(matching.filter(([filter, subject]) => !subjectMatches(filter, subject))).toEqual([]);
  expect(others.filter(([filter, subject]) => subjectMatches(filter, subject))).toEqual([]);
});

describe("entries exclude each other", () => {
  const set = new Overlap();
  set.add({ subject: "i.1.end", expect: { filter: "i.1.>", seq: 0 } });
  set.add({ subject: "q.1", expect: undefined });

  test.each([
    ["the same subject with an expectation", "q.1", "q.1", true],
    ["a subject under another's wildcard", "i.1.rev", undefined, true],
    ["a wildcard over another's subject", "i.1.rev", "i.1.>", true],
    ["neighbours", "i.2.end", "i.2.>", false],
    ["the same subject without expectations", "q.1", undefined, false],
    ["a name that only begins alike", "i.10.end", "i.10.>", false],
  ])("%s", (_, subject, filter, excluded) => {
    expect(set.excludes({ subject, expect: filter === undefined ? undefined : { filter, seq: 0 } })).toBe(excluded);
  });
});

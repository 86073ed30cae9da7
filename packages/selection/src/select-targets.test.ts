import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { createRegistryIndex, type RegistryIndex, type SelectableNode } from "./registry-index.js";
import { explainNode, type Need, type Routing, selectTargets } from "./select-targets.js";
import { normaliseTag } from "./tags.js";

const node = (id: string, tags: Partial<SelectableNode> = {}): SelectableNode => ({
  id,
  status: "active",
  categories: [],
  regions: ["*"],
  capabilities: [],
  ...tags,
});

function indexOf(...nodes: SelectableNode[]): RegistryIndex {
  const index = createRegistryIndex();
  for (const each of nodes) index.put(each);
  return index;
}

const shop = indexOf(
  node("nod_shoes", { categories: ["Apparel/Shoes"], regions: ["DE", "AT"], capabilities: ["gift-wrap"] }),
  node("nod_apparel", { categories: ["apparel"], regions: ["US"] }),
  node("nod_all", { categories: ["*"], capabilities: ["gift-wrap", "express"] }),
  node("nod_fruit", { categories: ["Groceries > Fresh Produce > Fruits"] }),
  node("nod_asleep", { categories: ["*"], status: "suspended" }),
  node("nod_nothing"),
);
const targetsOf = (need: Partial<Need>, routing: Routing = {}, index = shop): string[] | string => {
  const selection = selectTargets(index, { categories: [], ...need }, routing);
  return selection.kind === "selected" ? selection.targets : `emptied by ${selection.filter}`;
};

describe("selectTargets", () => {
  test.each<[string, Partial<Need>, Routing, string[] | string]>([
    ["no need: every active node, by id", {}, {}, ["nod_all", "nod_apparel", "nod_fruit", "nod_nothing", "nod_shoes"]],
    ["a category", { categories: ["apparel"] }, {}, ["nod_all", "nod_apparel"]],
    [
      "a path below a node's category",
      { categories: ["Apparel/Shoes/Running"] },
      {},
      ["nod_all", "nod_apparel", "nod_shoes"],
    ],
    ["a path that shares letters, not steps", { categories: ["apparelling"] }, {}, ["nod_all"]],
    [
      "any of several categories",
      { categories: ["apparel/shoes", "groceries/fresh produce/fruits"] },
      {},
      ["nod_all", "nod_apparel", "nod_fruit", "nod_shoes"],
    ],
    ["a region in any case", { categories: ["apparel/shoes"], region: "de" }, {}, ["nod_all", "nod_shoes"]],
    [
      "a subdivision of a node's region",
      { categories: ["apparel/shoes"], region: "US-CA" },
      {},
      ["nod_all", "nod_apparel"],
    ],
    ["all capabilities", {}, { capabilities: ["Gift-Wrap"] }, ["nod_all", "nod_shoes"]],
    ["all capabilities at once", {}, { capabilities: ["gift-wrap", "express"] }, ["nod_all"]],
    [
      "explicit targets instead of category and region",
      { categories: ["yachts"], region: "FR" },
      { targets: ["nod_fruit", "nod_asleep", "nod_x"] },
      ["nod_fruit"],
    ],
    [
      "targets that still need the capability",
      {},
      { targets: ["nod_fruit", "nod_shoes"], capabilities: ["gift-wrap"] },
      ["nod_shoes"],
    ],
    ["an allow list", { categories: ["apparel"] }, { allow: ["nod_apparel", "nod_fruit"] }, ["nod_apparel"]],
    ["a block list", {}, { block: ["nod_all", "nod_fruit", "nod_nothing", "nod_gone"] }, ["nod_apparel", "nod_shoes"]],
    ["block after allow", {}, { allow: ["nod_all", "nod_shoes"], block: ["nod_all"] }, ["nod_shoes"]],
    [
      "nobody serves the region",
      { categories: ["groceries/fresh produce/fruits"], region: "FR" },
      { block: ["nod_all", "nod_fruit"] },
      "emptied by block",
    ],
    ["nobody has the capability", {}, { capabilities: ["teleport"] }, "emptied by capability"],
    ["only suspended targets", {}, { targets: ["nod_asleep"] }, "emptied by targets"],
    ["an empty allow list", {}, { allow: [] }, "emptied by allow"],
  ])("%s", (_name, need, routing, expected) => {
    expect(targetsOf(need, routing)).toEqual(expected);
  });

  test("tells what each filter left, and stops at the one that left none", () => {
    const need = { categories: ["apparel/shoes"], region: "FR" };
    expect(selectTargets(shop, need, { block: ["nod_all"] })).toEqual({
      kind: "empty",
      filter: "block",
      revision: 6,
      filters: [
        { filter: "status", left: 5 },
        { filter: "category", left: 3 },
        { filter: "region", left: 1 },
        { filter: "block", left: 0 },
      ],
    });
    expect(selectTargets(createRegistryIndex(), need)).toEqual({
      kind: "empty",
      filter: "status",
      revision: 0,
      filters: [{ filter: "status", left: 0 }],
    });
  });

  test("follows changes: replaced, suspended, removed, added again", () => {
    const index = indexOf(node("nod_a", { categories: ["books"] }), node("nod_b", { categories: ["books"] }));
    const need = { categories: ["books"] };
    index.put(node("nod_a", { categories: ["toys"] }), 40);
    expect(targetsOf(need, {}, index)).toEqual(["nod_b"]);
    index.put(node("nod_b", { categories: ["books"], status: "suspended" }));
    expect(targetsOf(need, {}, index)).toBe("emptied by category");
    index.remove("nod_a");
    index.remove("nod_unknown");
    expect(targetsOf({}, {}, index)).toBe("emptied by status");
    index.put(node("nod_c", { categories: ["books"] }));
    expect(selectTargets(index, need)).toMatchObject({ targets: ["nod_c"], revision: 44 });
    expect(index.size).toBe(2);
  });
});

describe("explainNode", () => {
  test("gives every filter's verdict on one node", () => {
    const need = { categories: ["apparel/shoes"], region: "US" };
    expect(explainNode(shop, need, { capabilities: ["express"], block: ["nod_b"] }, "nod_shoes")).toEqual({
      kind: "explained",
      eligible: false,
      revision: 6,
      filters: [
        { filter: "status", passed: true, wanted: "active", found: "active" },
        { filter: "category", passed: true, wanted: "any of apparel/shoes", found: "apparel/shoes" },
        { filter: "region", passed: false, wanted: "any of us", found: "de, at" },
        { filter: "capability", passed: false, wanted: "all of express", found: "gift-wrap" },
        { filter: "block", passed: true, wanted: "none of the 1 blocked nodes", found: "not blocked" },
      ],
    });
    expect(explainNode(shop, need, {}, "nod_x")).toEqual({ kind: "unknown_node", revision: 6 });
  });
});

describe("normaliseTag", () => {
  test.each([
    [" Apparel  > Shoes ", "apparel/shoes"],
    ["apparel / shoes/", "apparel/shoes"],
    ["TV Stands & Entertainment Centers", "tv stands & entertainment centers"],
    ["CAFE\u0301", "caf\u00e9"],
    [" / ", ""],
  ])("%j is %j", (text, tag) => {
    expect(normaliseTag(text)).toBe(tag);
  });
});

const letters = fc.constantFrom("a", "a/b", "a/b/c", "b", "ab", "*");
const regions = fc.constantFrom("de", "de-by", "us", "*");
const ids = fc.constantFrom(...Array.from({ length: 12 }, (_, nth) => `nod_${nth}`));
const nodes = fc.uniqueArray(
  fc.record({
    id: ids,
    status: fc.constantFrom("active" as const, "suspended" as const),
    categories: fc.uniqueArray(letters, { maxLength: 3 }),
    regions: fc.uniqueArray(regions, { maxLength: 2 }),
    capabilities: fc.subarray(["x", "y", "z"]),
  }),
  { selector: ({ id }) => id, maxLength: 12 },
);
const needs = fc.record(
  {
    categories: fc.array(fc.constantFrom("a", "a/b", "a/b/c/d", "b", "c"), { maxLength: 2 }),
    region: fc.constantFrom("de", "de-by", "us", "fr"),
  },
  { requiredKeys: ["categories"] },
);
const routings = fc.record(
  {
    targets: fc.uniqueArray(ids),
    capabilities: fc.subarray(["x", "y", "z"]),
    allow: fc.uniqueArray(ids),
    block: fc.uniqueArray(ids),
  },
  { requiredKeys: [] },
);

describe("properties", () => {
  test("selection is exactly the nodes that explainNode calls eligible, whatever the history of the index", () => {
    fc.assert(
      fc.property(nodes, nodes, needs, routings, (before, now, need, routing) => {
        const index = indexOf(...before);
        for (const { id } of before) if (!now.some((other) => other.id === id)) index.remove(id);
        for (const each of now) index.put(each);
        const eligible = now
          .map(({ id }) => id)
          .filter((id) => (explainNode(index, need, routing, id) as { eligible: boolean }).eligible);
        const selection = selectTargets(index, need, routing);
        expect(selection.kind === "selected" ? selection.targets : []).toEqual(eligible.toSorted());
        const fresh = indexOf(...now.toReversed());
        expect({ ...selectTargets(fresh, need, routing), revision: 0 }).toEqual({ ...selection, revision: 0 });
      }),
      { numRuns: 500 },
    );
  });
});

describe("100,000 registered nodes", () => {
  const index = createRegistryIndex();
  for (let nth = 0; nth < 100_000; nth++) {
    index.put({
      id: `nod_${String(nth * 7_919).padStart(26, "0")}`,
      status: nth % 50 === 0 ? "suspended" : "active",
      categories: [`group-${nth % 40}/kind-${nth % 400}`, ...(nth % 1_000 === 1 ? ["*"] : [])],
      regions: nth % 10 === 0 ? ["*"] : [["de", "us", "in"][nth % 3]!],
      capabilities: nth % 2 === 0 ? ["express", "invoice"] : ["invoice"],
    });
  }

  test("a result of up to 1,000 nodes takes under 5 ms (0.10 ms measured outside of jest; the fastest of many, since others have the machine too)", () => {
    const need = { categories: ["group-7/kind-7/x", "group-8/kind-8"], region: "us-ca" };
    const routing = { capabilities: ["invoice"], block: [index.idAt(8), index.idAt(408)] };
    const first = selectTargets(index, need, routing);
    const targets = first.kind === "selected" ? first.targets.length : 0;
    expect(targets).toBeGreaterThan(100);
    expect(targets).toBeLessThanOrEqual(1_000);
    const took: number[] = [];
    for (let run = 0; run < 200; run++) {
      const start = performance.now();
      const { kind } = selectTargets(index, need, routing);
      took.push(performance.now() - start);
      expect(kind).toBe("selected");
    }
    expect(Math.min(...took)).toBeLessThan(5);
  });
});

// Who hears an intent: filters in a fixed order over the registry index, each with what it left, so that the choice can be explained later.
// Pure; the registry's revision is part of the answer.

import { addBit, type Bits, countBits, intersect, slotsOf, subtract, wordsFor } from "./node-set.js";
import type { IndexedNode, RegistryIndex } from "./registry-index.js";
import { normaliseTag, pathsOf } from "./tags.js";

/** What the intent says. No categories or no region: that filter does not apply. */
export interface Need {
  readonly categories: readonly string[];
  readonly region?: string;
}

/** What the caller said beside the intent; ids are nodes'. `targets` replaces the filters by category and region. */
export interface Routing {
  readonly targets?: readonly string[];
  readonly capabilities?: readonly string[];
  readonly allow?: readonly string[];
  readonly block?: readonly string[];
}

export type FilterName = "status" | "targets" | "category" | "region" | "capability" | "allow" | "block";

export interface FilterCount {
  filter: FilterName;
  left: number;
}

export type Selection =
  | { kind: "selected"; targets: string[]; revision: number; filters: FilterCount[] }
  | { kind: "empty"; filter: FilterName; revision: number; filters: FilterCount[] };

interface Filter {
  name: FilterName;
  narrow(left: Bits, index: RegistryIndex): void;
  passes(node: IndexedNode): boolean;
  /** What the node should have had or been. */
  wanted: string;
  /** What it had or was. */
  found(node: IndexedNode): string;
}

/** Eligible nodes in the order of their ids, or the filter that left none. */
export function selectTargets(index: RegistryIndex, need: Need, routing: Routing = {}): Selection {
  const left: Bits = new Uint32Array(wordsFor(index.slotCount));
  const filters: FilterCount[] = [];
  for (const filter of filtersOf(need, routing)) {
    filter.narrow(left, index);
    const count = { filter: filter.name, left: countBits(left) };
    filters.push(count);
    if (count.left === 0) return { kind: "empty", filter: filter.name, revision: index.revision, filters };
  }
  const targets = slotsOf(left).map((slot) => index.idAt(slot));
  return { kind: "selected", targets: targets.toSorted(), revision: index.revision, filters };
}

export type NodeExplanation =
  | { kind: "unknown_node"; revision: number }
  | {
      kind: "explained";
      eligible: boolean;
      revision: number;
      filters: { filter: FilterName; passed: boolean; wanted: string; found: string }[];
    };

/** Why one node is or is not among the targets: the verdict of every filter that applies. */
export function explainNode(index: RegistryIndex, need: Need, routing: Routing, nodeId: string): NodeExplanation {
  const node = index.get(nodeId);
  if (node === undefined) return { kind: "unknown_node", revision: index.revision };
  const filters = filtersOf(need, routing).map(({ name, passes, wanted, found }) => ({
    filter: name,
    passed: passes(node),
    wanted,
    found: found(node),
  }));
  return { kind: "explained", eligible: filters.every(({ passed }) => passed), revision: index.revision, filters };
}

function filtersOf(need: Need, routing: Routing): Filter[] {
  const categories = [...new Set(need.categories.map(normaliseTag))];
  const capabilities = [...new Set((routing.capabilities ?? []).map(normaliseTag))];
  const filters: Filter[] = [byStatus];
  if (routing.targets !== undefined) filters.push(byList("targets", routing.targets));
  else {
    if (categories.length > 0) filters.push(byAnyTag("category", "categories", categories, "/"));
    if (need.region !== undefined) filters.push(byAnyTag("region", "regions", [normaliseTag(need.region)], "-"));
  }
  if (capabilities.length > 0) filters.push(byAllCapabilities(capabilities));
  if (routing.allow !== undefined) filters.push(byList("allow", routing.allow));
  if (routing.block !== undefined && routing.block.length > 0) filters.push(byBlockList(routing.block));
  return filters;
}

const byStatus: Filter = {
  name: "status",
  narrow: (left, index) => index.active.addTo(left),
  passes: (node) => node.active,
  wanted: "active",
  found: (node) => (node.active ? "active" : "suspended"),
};

const listed = (tags: readonly string[]): string => (tags.length === 0 ? "none" : tags.join(", "));

/** Nodes that serve at least one needed tag: by the tag itself, a path above it, or "*". */
function byAnyTag(
  name: "category" | "region",
  kind: "categories" | "regions",
  needed: readonly string[],
  step: "/" | "-",
): Filter {
  const serving = new Set([...needed.flatMap((tag) => pathsOf(tag, step)), "*"]);
  return {
    name,
    narrow: (left, index) => {
      const some: Bits = new Uint32Array(left.length);
      for (const tag of serving) index.posting(kind, tag).addTo(some);
      intersect(left, some);
    },
    passes: (node) => node[kind].some((tag) => serving.has(tag)),
    wanted: `any of ${needed.join(", ")}`,
    found: (node) => listed(node[kind]),
  };
}

function byAllCapabilities(required: readonly string[]): Filter {
  return {
    name: "capability",
    narrow: (left, index) => {
      for (const tag of required) {
        const having: Bits = new Uint32Array(left.length);
        index.posting("capabilities", tag).addTo(having);
        intersect(left, having);
      }
    },
    passes: (node) => required.every((tag) => node.capabilities.includes(tag)),
    wanted: `all of ${required.join(", ")}`,
    found: (node) => listed(node.capabilities),
  };
}

function byList(name: "targets" | "allow", ids: readonly string[]): Filter {
  const named = new Set(ids);
  return {
    name,
    narrow: (left, index) => intersect(left, slotsNamed(named, left.length, index)),
    passes: (node) => named.has(node.id),
    wanted: `one of the ${named.size} named nodes`,
    found: (node) => (named.has(node.id) ? "named" : "not named"),
  };
}

function byBlockList(ids: readonly string[]): Filter {
  const blocked = new Set(ids);
  return {
    name: "block",
    narrow: (left, index) => subtract(left, slotsNamed(blocked, left.length, index)),
    passes: (node) => !blocked.has(node.id),
    wanted: `none of the ${blocked.size} blocked nodes`,
    found: (node) => (blocked.has(node.id) ? "blocked" : "not blocked"),
  };
}

function slotsNamed(ids: ReadonlySet<string>, words: number, index: RegistryIndex): Bits {
  const bits: Bits = new Uint32Array(words);
  for (const id of ids) {
    const node = index.get(id);
    if (node !== undefined) addBit(bits, node.slot);
  }
  return bits;
}

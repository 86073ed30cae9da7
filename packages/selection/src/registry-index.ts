// The registry as eligibility reads it: an inverted index over the nodes' tags, in memory, fed by whoever watches the registry.

import { Posting } from "./node-set.js";
import { normaliseTag } from "./tags.js";

/** The part of a node's record that decides who hears an intent. */
export interface SelectableNode {
  readonly id: string;
  readonly status: "active" | "suspended";
  readonly categories: readonly string[];
  readonly regions: readonly string[];
  readonly capabilities: readonly string[];
}

export const TAG_KINDS = ["categories", "regions", "capabilities"] as const;
export type TagKind = (typeof TAG_KINDS)[number];
export type Tags = Record<TagKind, readonly string[]>;

export interface IndexedNode extends Tags {
  readonly id: string;
  readonly slot: number;
  readonly active: boolean;
}

const NONE = new Posting();

export class RegistryIndex {
  private readonly byId = new Map<string, IndexedNode>();
  /** Node by slot; a freed slot is undefined until it is used again. */
  private readonly slots: (string | undefined)[] = [];
  private readonly free: number[] = [];
  private readonly postings: Record<TagKind, Map<string, Posting>> = {
    categories: new Map(),
    regions: new Map(),
    capabilities: new Map(),
  };
  readonly active = new Posting();
  private current = 0;

  /** That of the last change: the registry's own where the caller passes it, else the count of changes. */
  get revision(): number {
    return this.current;
  }

  get size(): number {
    return this.byId.size;
  }

  get slotCount(): number {
    return this.slots.length;
  }

  /** Adds or replaces a node. `revision` is the registry's, the same in every process. */
  put(node: SelectableNode, revision = this.current + 1): void {
    const slot = this.withdraw(node.id) ?? this.free.pop() ?? this.slots.length;
    const indexed: IndexedNode = {
      id: node.id,
      slot,
      active: node.status === "active",
      categories: distinct(node.categories),
      regions: distinct(node.regions),
      capabilities: distinct(node.capabilities),
    };
    this.slots[slot] = node.id;
    this.byId.set(node.id, indexed);
    for (const kind of TAG_KINDS) for (const tag of indexed[kind]) this.postingOf(kind, tag).add(slot);
    if (indexed.active) this.active.add(slot);
    this.current = revision;
  }

  remove(id: string, revision = this.current + 1): void {
    const slot = this.withdraw(id);
    this.current = revision;
    if (slot === undefined) return;
    this.byId.delete(id);
    this.slots[slot] = undefined;
    this.free.push(slot);
  }

  get(id: string): IndexedNode | undefined {
    return this.byId.get(id);
  }

  idAt(slot: number): string {
    return this.slots[slot]!;
  }

  posting(kind: TagKind, tag: string): Posting {
    return this.postings[kind].get(tag) ?? NONE;
  }

  private postingOf(kind: TagKind, tag: string): Posting {
    let posting = this.postings[kind].get(tag);
    if (posting === undefined) this.postings[kind].set(tag, (posting = new Posting()));
    return posting;
  }

  /** Takes a node out of all postings and returns its slot. */
  private withdraw(id: string): number | undefined {
    const node = this.byId.get(id);
    if (node === undefined) return undefined;
    for (const kind of TAG_KINDS) {
      for (const tag of node[kind]) {
        const posting = this.posting(kind, tag);
        posting.delete(node.slot);
        if (posting.size === 0) this.postings[kind].delete(tag);
      }
    }
    this.active.delete(node.slot);
    return node.slot;
  }
}

export const createRegistryIndex = (): RegistryIndex => new RegistryIndex();

/** Normalised, each once; a tag that an own shorter one covers stays: explanations name it. */
function distinct(tags: readonly string[]): string[] {
  return [...new Set(tags.map(normaliseTag))].filter((tag) => tag !== "");
}

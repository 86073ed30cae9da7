// Why a node was or was not asked: the filters of the selection once more, over the registry as it was at that revision (its bucket
// keeps the changes of each node) and as it is now.

import type { Bucket, BucketEntry } from "@outcry/backbone";
import { type LoadedIntent, revisionsOf } from "@outcry/delivery";
import { type ExplainView, type NodeRecord, type SelectionVerdict, needOf } from "@outcry/protocol";
import { type RegistryIndex, createRegistryIndex, explainNode } from "@outcry/selection";

export interface ExplainDeps {
  /** KV `nodes`. */
  nodes: Bucket;
  registry: RegistryIndex;
}

const decoder = new TextDecoder();

export async function explainSelection(
  { nodes, registry }: ExplainDeps,
  newest: LoadedIntent,
  nodeId: string,
): Promise<ExplainView> {
  const [intent] = revisionsOf(newest); // an amendment chooses nobody
  const { record } = intent;
  const past = await nodeAt(nodes, nodeId, record.registry_revision);
  const atSelection =
    past.kind === "known" ? verdictOf(indexOfOne(past.record, record.registry_revision), intent, nodeId) : null;
  const selected = intent.indexOf.has(nodeId);
  return {
    intent_id: intent.id,
    node_id: nodeId,
    selected,
    registry_revision: record.registry_revision,
    reason: reasonOf(selected, past.kind, atSelection),
    at_selection: atSelection,
    now: verdictOf(registry, intent, nodeId),
  };
}

type PastNode = { kind: "known"; record: NodeRecord } | { kind: "unregistered" | "forgotten" };

/** `forgotten`: the changes that are kept begin later, and the first of them is no registration. */
async function nodeAt(nodes: Bucket, nodeId: string, revision: number): Promise<PastNode> {
  let last: BucketEntry | undefined;
  let first: BucketEntry | undefined;
  for await (const entry of nodes.history(nodeId)) {
    first ??= entry;
    if (entry.revision <= revision) last = entry;
  }
  if (last !== undefined) return last.deleted ? { kind: "unregistered" } : { kind: "known", record: readNode(last) };
  if (first === undefined || first.deleted) return { kind: first === undefined ? "unregistered" : "forgotten" };
  const { created, changed } = readNode(first);
  return { kind: created === changed ? "unregistered" : "forgotten" };
}

const readNode = ({ value }: BucketEntry): NodeRecord => JSON.parse(decoder.decode(value)) as NodeRecord;

function indexOfOne(node: NodeRecord, revision: number): RegistryIndex {
  const index = createRegistryIndex();
  index.put(node, revision);
  return index;
}

function verdictOf(index: RegistryIndex, { intent, record }: LoadedIntent, nodeId: string): SelectionVerdict | null {
  const explained = explainNode(index, needOf(intent.payload), record.routing, nodeId);
  if (explained.kind === "unknown_node") return null;
  return { eligible: explained.eligible, registry_revision: explained.revision, filters: explained.filters };
}

function reasonOf(selected: boolean, past: PastNode["kind"], verdict: SelectionVerdict | null): string {
  if (selected) return "Addressed: it passed every filter.";
  if (past === "unregistered") return "Not addressed: it was not registered when the intent was posted.";
  const failed = verdict?.filters.find(({ passed }) => !passed);
  if (failed === undefined) return "Not addressed; the registry no longer holds how the node was described then.";
  return `Not addressed: the filter ${failed.filter} wanted ${failed.wanted}, found ${failed.found}.`;
}

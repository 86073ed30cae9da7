// Changes of a registered node by compare-and-set: description, keys, suspension, deletion. A suspension is decided by the
// node's record alone; that the connection is cut follows from it (revocations.ts) and is waited for.

import { type NodeChange, type NodeRecord, OutcryError, toRfc3339 } from "@outcry/protocol";
import type { AccessBook } from "../access/access-book.js";
import type { Kept } from "../access/watched-records.js";
import { requireAcceptableKeys } from "./node-keys.js";
import type { Registry } from "./registry.js";
import type { Revocations } from "./revocations.js";

const ATTEMPTS_MAX = 5; // beyond that somebody writes in a loop

export interface ChangeDeps {
  registry: Registry;
  book: AccessBook;
  revocations: Revocations;
}

/** `expected`: the revision that the caller read; a change by another since then is node_changed. */
export async function changeNode(
  deps: ChangeDeps,
  id: string,
  change: NodeChange,
  expected?: number,
): Promise<Kept<NodeRecord>> {
  if (change.public_keys !== undefined) requireAcceptableKeys({ public_keys: change.public_keys });
  const changed = await rewriteNode(deps, id, (node) => ({ ...node, ...change }), expected);
  await deps.registry.caughtUp(changed.revision);
  return changed;
}

/** The connection is cut when this resolves; repeating it is safe. */
export async function suspendNode(deps: ChangeDeps, id: string, reason?: string): Promise<Kept<NodeRecord>> {
  const suspended = await rewriteNode(deps, id, (node) => {
    if (node.status === "suspended") return node;
    const { status_reason: _former, ...rest } = node;
    return { ...rest, status: "suspended", ...(reason === undefined ? {} : { status_reason: reason }) };
  });
  await deps.revocations.enforce(suspended.value);
  await deps.registry.caughtUp(suspended.revision);
  return suspended;
}

/** Credentials issued from now on work again. */
export async function resumeNode(deps: ChangeDeps, id: string): Promise<Kept<NodeRecord>> {
  const resumed = await rewriteNode(deps, id, (node) => {
    if (node.status === "active") return node;
    const { status_reason: _over, ...rest } = node;
    return { ...rest, status: "active" };
  });
  await deps.registry.caughtUp(resumed.revision);
  return resumed;
}

/** Suspended first, so that no step leaves a connected node that is not in the registry. Its NATS key is never taken again. */
export async function deleteNode(deps: ChangeDeps, id: string): Promise<void> {
  const { value: node } = await suspendNode(deps, id, "deleted");
  await deps.revocations.bury(node);
}

/** Compare-and-set; `edit` may run again, and returns what it got when there is nothing to change. */
export async function rewriteNode(
  deps: ChangeDeps,
  id: string,
  edit: (node: NodeRecord) => NodeRecord,
  expected?: number,
): Promise<Kept<NodeRecord>> {
  const { registry, book } = deps;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const kept = await requireNode(deps, id);
    if (expected !== undefined && kept.revision !== expected) throw new OutcryError("node_changed");
    const edited = edit(kept.value);
    if (edited === kept.value) return kept;
    const changed: NodeRecord = { ...edited, changed: toRfc3339(book.clock.now()) };
    const written = await registry.nodes.update(id, changed, kept.revision);
    if (written.kind === "written") return { value: changed, revision: written.revision };
  }
  throw new OutcryError("node_changed");
}

/** From the bucket. A node whose deletion is under way is gone. */
async function requireNode({ registry, book }: ChangeDeps, id: string): Promise<Kept<NodeRecord>> {
  const kept = await registry.nodes.read(id);
  if (kept === undefined) throw new OutcryError("node_not_found");
  if (book.revocations.get(kept.value.nats_public_key)?.value.deleted === true) throw new OutcryError("node_not_found");
  return kept;
}

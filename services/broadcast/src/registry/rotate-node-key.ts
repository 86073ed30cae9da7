// A node's own way to change its signing keys (ADR-9): a new one, signed for by an old one and by itself; an old one, retired with its time.
// A key that was lost is not retired but removed, by an admin's PATCH: what it signed then counts no more.

import {
  Envelope,
  LIMITS,
  NodeKeyPayload,
  type NodeRecord,
  OutcryError,
  type PublicKey,
  toRfc3339,
} from "@outcry/protocol";
import { checkPublicJwk, keySource, verifyEnvelopeAsync } from "@outcry/signing";
import { type ChangeDeps, rewriteNode } from "./change-node.js";
import { type ProofDeps, readProof, type SignedText, useUp } from "./node-proof.js";

export interface AddedKey extends SignedText {
  /** Over the same bytes, by the new key. */
  proof: string;
}

/** Repeated for a key that the node has already, it answers the same. */
export async function addNodeKey(deps: ChangeDeps & ProofDeps, nodeId: string, signed: AddedKey): Promise<NodeRecord> {
  const { payload } = await readProof(deps, nodeId, signed, NODE_KEY);
  const { public_key: added, challenge } = payload;
  await requirePossession(nodeId, added, signed);
  await useUp(deps, nodeId, challenge);
  const changed = await rewriteNode(deps, nodeId, (node) => withKey(node, added));
  await deps.registry.caughtUp(changed.revision);
  return changed.value;
}

/** Quotes stored until now and signed with it stay verified. */
export async function retireNodeKey(deps: ChangeDeps, nodeId: string, kid: string): Promise<NodeRecord> {
  const retired = toRfc3339(deps.book.clock.now());
  const changed = await rewriteNode(deps, nodeId, (node) => withoutKey(node, kid, retired));
  await deps.registry.caughtUp(changed.revision);
  return changed.value;
}

const NODE_KEY = {
  type: "node-key",
  schema: Envelope("node-key", NodeKeyPayload),
  payload: NodeKeyPayload,
} as const;

async function requirePossession(nodeId: string, jwk: PublicKey, { envelope, proof }: AddedKey): Promise<void> {
  const checked = checkPublicJwk(jwk);
  if (checked.kind === "refused") throw unacceptable(checked.detail);
  const { alg, publicKey } = checked;
  const keys = keySource([{ kid: jwk.kid, owner: nodeId, alg, publicKey }]);
  const verdict = await verifyEnvelopeAsync(Buffer.from(envelope), proof, keys);
  if (verdict.kind === "refused") throw new OutcryError(verdict.code, `The proof by the new key: ${verdict.detail}`);
}

function withKey(node: NodeRecord, added: PublicKey): NodeRecord {
  const there = node.public_keys.find(({ kid }) => kid === added.kid);
  if (there?.x === added.x && there.y === added.y) return node;
  const known = there ?? node.retired_keys?.find(({ kid }) => kid === added.kid);
  if (known !== undefined) throw unacceptable(`the kid ${added.kid} is that of another key of this node`);
  if (node.public_keys.length >= LIMITS.nodeKeysMax)
    throw unacceptable(`the node has ${LIMITS.nodeKeysMax} keys: retire one first`);
  return { ...node, public_keys: [...node.public_keys, added] };
}

function withoutKey(node: NodeRecord, kid: string, retired: string): NodeRecord {
  const key = node.public_keys.find((one) => one.kid === kid);
  const before = node.retired_keys ?? [];
  if (key === undefined) {
    if (before.some((one) => one.kid === kid)) return node;
    throw new OutcryError("node_key_not_found");
  }
  if (node.public_keys.length === 1) throw new OutcryError("node_key_last");
  return {
    ...node,
    public_keys: node.public_keys.filter((one) => one !== key),
    retired_keys: [...before, { ...key, retired }].slice(-LIMITS.nodeRetiredKeysMax),
  };
}

const unacceptable = (detail: string) =>
  new OutcryError("key_unacceptable", detail, { pointers: [{ pointer: "/envelope/payload/public_key", detail }] });

// The registered nodes at hand, followed from KV `nodes`: for those who need their keys. Choosing among them is @outcry/selection's.

import type { Bucket, BucketEntry, Watching } from "@outcry/backbone";
import { type Log, type NodeRecord, parseRfc3339, type PublicKey } from "@outcry/protocol";
import { type KeySource, type VerificationKey, checkPublicJwk } from "@outcry/signing";

export interface NodeDirectory {
  get(nodeId: string): NodeRecord | undefined;
  /**
   * Keys that this node had at a time: those retired later too. Keys of other nodes only so that a signature of theirs is told apart
   * from an unknown one.
   */
  keysOf(nodeId: string, atMs: number): KeySource;
  /** Reads one node from the bucket: what was changed a moment ago is then known. */
  refresh(nodeId: string): Promise<void>;
  readonly ready: Promise<void>;
  stop(): void;
}

interface Known {
  readonly record: NodeRecord;
  readonly revision: number;
  readonly keys: readonly VerificationKey[];
  readonly retired: readonly { readonly key: VerificationKey; readonly untilMs: number }[];
}

const decoder = new TextDecoder();

export function followNodes(bucket: Bucket, log: Log): NodeDirectory {
  const nodes = new Map<string, Known>();
  const byKid = new Map<string, VerificationKey>();

  function forget(id: string): void {
    for (const key of nodes.get(id)?.keys ?? []) if (byKid.get(key.kid) === key) byKid.delete(key.kid);
    nodes.delete(id);
  }

  function take({ key: id, value, deleted, revision }: BucketEntry): void {
    if (revision <= (nodes.get(id)?.revision ?? 0)) return; // read ahead of the watch
    forget(id);
    if (deleted) return;
    const record = JSON.parse(decoder.decode(value)) as NodeRecord;
    const keys = record.public_keys.flatMap((jwk) => verificationKeys(id, jwk, log));
    const retired = (record.retired_keys ?? []).flatMap((jwk) =>
      verificationKeys(id, jwk, log).map((key) => ({ key, untilMs: parseRfc3339(jwk.retired) ?? 0 })),
    );
    nodes.set(id, { record, revision, keys, retired });
    for (const key of keys) byKid.set(key.kid, key);
  }

  const watching: Watching = bucket.watch({
    onEntry: take,
    onReset: () => {
      nodes.clear();
      byKid.clear();
    },
  });

  return {
    get: (nodeId) => nodes.get(nodeId)?.record,
    keysOf: (nodeId, atMs) => ({ find: (kid) => keyAt(nodes.get(nodeId), kid, atMs) ?? byKid.get(kid) }),
    async refresh(nodeId) {
      const entry = await bucket.get(nodeId);
      if (entry !== undefined) take(entry);
    },
    ready: watching.ready,
    stop: () => watching.stop(),
  };
}

function keyAt(node: Known | undefined, kid: string, atMs: number): VerificationKey | undefined {
  const current = node?.keys.find((key) => key.kid === kid);
  return current ?? node?.retired.find(({ key, untilMs }) => key.kid === kid && atMs <= untilMs)?.key;
}

function verificationKeys(nodeId: string, jwk: PublicKey, log: Log): VerificationKey[] {
  const checked = checkPublicJwk(jwk);
  if (checked.kind === "ok") return [{ kid: jwk.kid, owner: nodeId, alg: checked.alg, publicKey: checked.publicKey }];
  log.warn(
    { node_id: nodeId, kid: jwk.kid, detail: checked.detail },
    "a registered key is not acceptable; it verifies nothing",
  );
  return [];
}

// The registered nodes at hand, followed from KV `nodes`: for those who need their keys. Choosing among them is @outcry/selection's.

import type { Bucket, Watching } from "@outcry/backbone";
import type { Log, NodeRecord } from "@outcry/protocol";
import { type KeySource, type VerificationKey, checkPublicJwk } from "@outcry/signing";

export interface NodeDirectory {
  get(nodeId: string): NodeRecord | undefined;
  /** Keys of this node, and of others only so that a signature of theirs is told apart from an unknown one. */
  keysOf(nodeId: string): KeySource;
  readonly ready: Promise<void>;
  stop(): void;
}

const decoder = new TextDecoder();

export function followNodes(bucket: Bucket, log: Log): NodeDirectory {
  const nodes = new Map<string, { record: NodeRecord; keys: VerificationKey[] }>();
  const byKid = new Map<string, VerificationKey>();

  function forget(id: string): void {
    for (const key of nodes.get(id)?.keys ?? []) if (byKid.get(key.kid) === key) byKid.delete(key.kid);
    nodes.delete(id);
  }

  const watching: Watching = bucket.watch({
    onEntry: ({ key: id, value, deleted }) => {
      forget(id);
      if (deleted) return;
      const record = JSON.parse(decoder.decode(value)) as NodeRecord;
      const keys = record.public_keys.flatMap((jwk): VerificationKey[] => {
        const checked = checkPublicJwk(jwk);
        if (checked.kind === "ok") return [{ kid: jwk.kid, owner: id, alg: checked.alg, publicKey: checked.publicKey }];
        log.warn(
          { node_id: id, kid: jwk.kid, detail: checked.detail },
          "a registered key is not acceptable; it verifies nothing",
        );
        return [];
      });
      nodes.set(id, { record, keys });
      for (const key of keys) byKid.set(key.kid, key);
    },
    onReset: () => {
      nodes.clear();
      byKid.clear();
    },
  });

  return {
    get: (nodeId) => nodes.get(nodeId)?.record,
    keysOf: (nodeId) => ({ find: (kid) => nodes.get(nodeId)?.keys.find((key) => key.kid === kid) ?? byKid.get(kid) }),
    ready: watching.ready,
    stop: () => watching.stop(),
  };
}

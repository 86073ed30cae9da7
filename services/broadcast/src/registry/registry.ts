// The node registry: KV `nodes` in memory, in the selection index, and as keys for verifying. It decides nothing itself:
// registering and changing are the neighbouring files.

import type { Bucket } from "@outcry/backbone";
import { type Clock, isId, type Log, NodeRecord } from "@outcry/protocol";
import { createRegistryIndex, type RegistryIndex } from "@outcry/selection";
import { checkPublicJwk, type KeySource, keySource, type VerificationKey } from "@outcry/signing";
import { type Kept, type Records, watchRecords } from "../access/watched-records.js";

const CATCH_UP_MS = 2_000; // a watch looks every second even without a hint

export interface Registry {
  readonly nodes: Records<NodeRecord>;
  /** Fed in the bucket's order: its revision names exactly what it holds. */
  readonly index: RegistryIndex;
  get(id: string): NodeRecord | undefined;
  /** Keys of one node: kids are unique per node, not across nodes. No key for an unknown node. */
  keysOf(nodeId: string): KeySource;
  /** Nodes after `afterId` in the order of ids. */
  page(options: { afterId?: string; limit: number; status?: NodeRecord["status"] }): {
    data: NodeRecord[];
    hasMore: boolean;
  };
  /** Resolves when the index holds this revision, so that a caller's next intent sees its own change. */
  caughtUp(revision: number): Promise<void>;
  close(): void;
}

export interface RegistryDeps {
  /** KV `nodes`. */
  bucket: Bucket;
  clock: Clock;
  log: Log;
}

/** Resolves when the bucket is in memory. */
export async function createRegistry({ bucket, log }: RegistryDeps): Promise<Registry> {
  const watched = watchRecords({ bucket, log });
  const nodes = watched.records("", NodeRecord);
  const index = createRegistryIndex();
  const waiting = new Set<{ revision: number; resolve: () => void }>();
  const keys = new Map<string, { revision: number; source: KeySource }>();
  let ids: string[] | undefined;

  nodes.onChange((id) => {
    ids = undefined;
    keys.delete(id);
  });
  await watched.follow({
    onSeen(id, revision) {
      const kept = nodes.get(id);
      if (kept === undefined) index.remove(id, revision);
      else index.put(kept.value, revision);
      for (const one of waiting) if (one.revision <= revision) one.resolve();
    },
    onReset() {
      for (const id of sortedIds()) index.remove(id, 0);
    },
  });

  function sortedIds(): string[] {
    return (ids ??= [...nodes.all()].map(([id]) => id).sort());
  }

  return {
    nodes,
    index,
    get: (id) => nodes.get(id)?.value,
    keysOf(nodeId) {
      const kept = isId("nod", nodeId) ? nodes.get(nodeId) : undefined;
      if (kept === undefined) return NO_KEYS;
      const cached = keys.get(nodeId);
      if (cached?.revision === kept.revision) return cached.source;
      const source = keySource(verificationKeysOf(kept));
      keys.set(nodeId, { revision: kept.revision, source });
      return source;
    },
    page({ afterId, limit, status }) {
      const all = sortedIds();
      const data: NodeRecord[] = [];
      for (let at = afterId === undefined ? 0 : placeAfter(all, afterId); at < all.length; at++) {
        const node = nodes.get(all[at]!)?.value;
        if (node === undefined || (status !== undefined && node.status !== status)) continue;
        if (data.length === limit) return { data, hasMore: true };
        data.push(node);
      }
      return { data, hasMore: false };
    },
    async caughtUp(revision) {
      if (index.revision >= revision) return;
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          waiting.delete(one);
          resolve();
        };
        const timer = setTimeout(done, CATCH_UP_MS);
        const one = { revision, resolve: done };
        waiting.add(one);
      });
    },
    close: watched.close,
  };
}

const NO_KEYS: KeySource = { find: () => undefined };

/** Checked at registration; a key that this version no longer accepts is left out. */
function verificationKeysOf({ value }: Kept<NodeRecord>): VerificationKey[] {
  return value.public_keys.flatMap((jwk) => {
    const checked = checkPublicJwk(jwk);
    return checked.kind === "ok"
      ? [{ kid: jwk.kid, owner: value.id, alg: checked.alg, publicKey: checked.publicKey }]
      : [];
  });
}

/** Index of the first id behind `afterId` in a sorted list. */
function placeAfter(sorted: string[], afterId: string): number {
  let [from, to] = [0, sorted.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (sorted[middle]! <= afterId) from = middle + 1;
    else to = middle;
  }
  return from;
}

// One message of a bucket's stream as an entry (ADR-8): a key's value, or that it is deleted.

import type { Stored } from "./stored.js";

export const OPERATION = "KV-Operation"; // header of what is no put: DEL or PURGE

export interface BucketEntry {
  readonly key: string;
  /** Empty when deleted. */
  readonly value: Uint8Array;
  /** The bucket's sequence: one order over all keys. */
  readonly revision: number;
  readonly deleted: boolean;
  /** Epoch ms. */
  readonly time: number;
}

export function toEntry(stored: Stored, prefix: string): BucketEntry {
  const { subject, data, seq, time, headers } = stored;
  const operation = headers.last(OPERATION);
  const deleted = operation === "DEL" || operation === "PURGE";
  return { key: subject.slice(prefix.length), value: data, revision: seq, deleted, time };
}

// A JetStream key-value bucket (ADR-8): compare-and-set per key, and a watch that misses nothing.
// The watch reads by Direct Get and uses the live messages only as a hint, so it needs no consumer and survives any restart.

import type { Log } from "@outcry/protocol";
import { createAppender } from "./append.js";
import type { Appended } from "./append.js";
import type { Backbone } from "./connect.js";
import { getLast, readAll } from "./read.js";
import { OPERATION, toEntry } from "./kv-entry.js";
import type { BucketEntry } from "./kv-entry.js";
import { watchBucket } from "./kv-watch.js";
import type { WatchHandlers, Watching } from "./kv-watch.js";

const KEY = /^[A-Za-z0-9_=/.-]+$/; // ADR-8; a key is part of a subject

export type Written =
  | { readonly kind: "written"; readonly revision: number }
  /** The key is at another revision than expected. */
  | { readonly kind: "conflict"; readonly revision: number };

export interface Bucket {
  readonly name: string;
  /** Undefined when the key was never set or is deleted. */
  get(key: string): Promise<BucketEntry | undefined>;
  /** What is kept of one key, deletions too, in order of revision. */
  history(key: string): AsyncGenerator<BucketEntry>;
  /** Every key with a value, in order of revision. */
  entries(): AsyncGenerator<BucketEntry>;
  /** Only when the key has no value. */
  create(key: string, value: Uint8Array): Promise<Written>;
  /** Only when the key is at `revision`. */
  update(key: string, value: Uint8Array, revision: number): Promise<Written>;
  put(key: string, value: Uint8Array): Promise<number>;
  delete(key: string, revision?: number): Promise<Written>;
  /** Every kept entry in order of revision, then every change. A bucket with a history of 1 may skip values that were replaced at once. */
  watch(handlers: WatchHandlers): Watching;
}

export function openBucket(backbone: Backbone, name: string, options: { readonly log: Log }): Bucket {
  const stream = `KV_${name}`;
  const prefix = `$KV.${name}.`;
  const appender = createAppender(backbone, { stream });
  const latest = async (key: string): Promise<BucketEntry | undefined> => {
    const stored = await getLast(backbone, stream, subjectOf(prefix, key));
    return stored === undefined ? undefined : toEntry(stored, prefix);
  };
  const write = async (key: string, value: Uint8Array, seq: number): Promise<Written> =>
    toWritten(await appender.append({ subject: subjectOf(prefix, key), data: value, expectLast: { seq } }));

  return {
    name,
    async get(key) {
      if (!isKey(key)) return undefined; // an id from outside may be any text: nothing was ever stored under this one
      const entry = await latest(key);
      return entry === undefined || entry.deleted ? undefined : entry;
    },
    async *history(key) {
      for await (const stored of readAll(backbone, stream, { filter: subjectOf(prefix, key) }))
        yield toEntry(stored, prefix);
    },
    async *entries() {
      const last = new Map<string, BucketEntry>();
      for await (const stored of readAll(backbone, stream)) {
        const entry = toEntry(stored, prefix);
        last.delete(entry.key); // so that the map keeps the order of revisions
        if (!entry.deleted) last.set(entry.key, entry);
      }
      yield* last.values();
    },
    async create(key, value) {
      const first = await write(key, value, 0);
      if (first.kind === "written") return first;
      const there = await latest(key); // a deleted key has a last revision, and no value
      return there?.deleted === true ? write(key, value, there.revision) : first;
    },
    update: write,
    async put(key, value) {
      const appended = await appender.append({ subject: subjectOf(prefix, key), data: value });
      return toWritten(appended).revision;
    },
    async delete(key, revision) {
      const expectLast = revision === undefined ? undefined : { seq: revision };
      const subject = subjectOf(prefix, key);
      const headers = { [OPERATION]: "DEL" };
      const entry = { subject, data: new Uint8Array(0), headers };
      return toWritten(await appender.append(expectLast === undefined ? entry : { ...entry, expectLast }));
    },
    watch: (handlers) =>
      watchBucket(
        { backbone, stream, hint: `${prefix}>`, toEntry: (stored) => toEntry(stored, prefix), log: options.log },
        handlers,
      ),
  };
}

const isKey = (key: string): boolean => KEY.test(key) && !key.startsWith(".") && !key.endsWith(".");

function subjectOf(prefix: string, key: string): string {
  if (!isKey(key)) throw new TypeError(`kv: ${JSON.stringify(key)} is no key`);
  return prefix + key;
}

const toWritten = (appended: Appended): Written =>
  appended.kind === "exists"
    ? { kind: "conflict", revision: appended.lastSeq }
    : { kind: "written", revision: appended.seq };

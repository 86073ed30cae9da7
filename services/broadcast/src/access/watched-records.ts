// JSON records of one KV bucket, held in memory and followed. A write of this process counts at once, one of another
// process within a second. The bucket decides; memory is only its latest picture.

import type { Bucket, BucketEntry, Written } from "@outcry/backbone";
import { check, type Log } from "@outcry/protocol";
import type { Static, TSchema } from "typebox";

export interface Kept<T> {
  readonly value: T;
  readonly revision: number;
}

type Listener<T> = (id: string, value: T | undefined, revision: number) => void;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** All records whose key starts with one prefix; `id` is the rest of the key. */
export class Records<T> {
  readonly #bucket: Bucket;
  readonly #prefix: string;
  readonly #read: (bytes: Uint8Array) => T | undefined;
  /** A deleted one stays with its revision: an older picture must not bring it back. */
  readonly #known = new Map<string, { value: T | undefined; revision: number }>();
  readonly #listeners = new Set<Listener<T>>();

  constructor(bucket: Bucket, prefix: string, read: (bytes: Uint8Array) => T | undefined) {
    this.#bucket = bucket;
    this.#prefix = prefix;
    this.#read = read;
  }

  /** From memory. */
  get(id: string): Kept<T> | undefined {
    const { value, revision } = this.#known.get(id) ?? {};
    return value === undefined ? undefined : { value, revision: revision! };
  }

  /** From the bucket itself. */
  async read(id: string): Promise<Kept<T> | undefined> {
    const entry = await this.#bucket.get(this.#prefix + id);
    if (entry !== undefined) this.take(entry);
    return entry === undefined ? undefined : this.get(id);
  }

  /** From memory, else from the bucket: what another process made a moment ago is found. */
  async find(id: string): Promise<Kept<T> | undefined> {
    return this.get(id) ?? (await this.read(id));
  }

  *all(): Generator<[id: string, kept: Kept<T>]> {
    for (const [id, { value, revision }] of this.#known) if (value !== undefined) yield [id, { value, revision }];
  }

  async create(id: string, value: T): Promise<Written> {
    return this.#written(id, value, await this.#bucket.create(this.#prefix + id, encode(value)));
  }

  async update(id: string, value: T, revision: number): Promise<Written> {
    return this.#written(id, value, await this.#bucket.update(this.#prefix + id, encode(value), revision));
  }

  async delete(id: string, revision: number): Promise<Written> {
    return this.#written(id, undefined, await this.#bucket.delete(this.#prefix + id, revision));
  }

  /** Called after each change of memory, in order of revisions per record. */
  onChange(listener: Listener<T>): void {
    this.#listeners.add(listener);
  }

  take(entry: BucketEntry): void {
    this.#set(
      entry.key.slice(this.#prefix.length),
      entry.deleted ? undefined : this.#read(entry.value),
      entry.revision,
    );
  }

  forget(): void {
    for (const [id, { value, revision }] of this.#known) {
      this.#known.delete(id);
      if (value !== undefined) for (const listener of this.#listeners) listener(id, undefined, revision);
    }
  }

  #written(id: string, value: T | undefined, written: Written): Written {
    if (written.kind === "written") this.#set(id, value, written.revision);
    return written;
  }

  #set(id: string, value: T | undefined, revision: number): void {
    if (revision <= (this.#known.get(id)?.revision ?? 0)) return;
    this.#known.set(id, { value, revision });
    for (const listener of this.#listeners) listener(id, value, revision);
  }
}

/** Told of the bucket's own order, which local writes run ahead of. */
export interface Follower {
  onSeen(key: string, revision: number): void;
  onReset(): void;
}

export interface WatchedRecords {
  /** Each prefix once, before `follow`. */
  records<S extends TSchema>(prefix: string, schema: S): Records<Static<S>>;
  /** Resolves when the whole bucket is in memory. */
  follow(follower?: Follower): Promise<void>;
  close(): void;
}

export function watchRecords({ bucket, log }: { bucket: Bucket; log: Log }): WatchedRecords {
  const kinds: { prefix: string; records: Records<unknown> }[] = [];
  let stop: (() => void) | undefined;
  return {
    records<S extends TSchema>(prefix: string, schema: S) {
      const records = new Records<Static<S>>(bucket, prefix, (bytes) => decode(bytes, schema, prefix, log));
      kinds.push({ prefix, records: records as Records<unknown> });
      return records;
    },
    async follow(follower) {
      const watching = bucket.watch({
        onEntry(entry) {
          kinds.find(({ prefix }) => entry.key.startsWith(prefix))?.records.take(entry);
          follower?.onSeen(entry.key, entry.revision);
        },
        onReset() {
          for (const { records } of kinds) records.forget();
          follower?.onReset();
        },
      });
      stop = () => watching.stop();
      await watching.ready;
    },
    close: () => stop?.(),
  };
}

const encode = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value));

/** A record that this version cannot read counts as absent, and loudly so. */
function decode<S extends TSchema>(bytes: Uint8Array, schema: S, prefix: string, log: Log): Static<S> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch (error) {
    log.error({ prefix, error: String(error) }, "a record of the bucket is not JSON");
    return undefined;
  }
  const checked = check(schema, value);
  if (checked.kind === "ok") return checked.value;
  log.error({ prefix, pointers: checked.pointers }, "a record of the bucket does not fit its schema");
  return undefined;
}

// Follows a bucket: reads from the last seen revision whenever a live message hints at a change, and every second anyhow.
// A hint may come before the write is visible, or not at all (no permission, lost): the next look finds what it missed.

import type { Log } from "@outcry/protocol";
import type { Backbone, Subscription } from "./connect.js";
import type { BucketEntry } from "./kv-entry.js";
import { readAll, streamHead } from "./read.js";
import type { Stored } from "./stored.js";

const LOOK_EVERY_MS = 1_000; // the longest that a change without a hint stays unseen
const HINT_LOOKS_MS = [0, 5, 20, 80, 320]; // after a hint: the write becomes visible within a sync of the disk

export interface WatchHandlers {
  /** May be called again for a revision after an error of its own. */
  readonly onEntry: (entry: BucketEntry) => void;
  /** The state has been shown up to `revision`; also after the bucket was replaced by another of its name. */
  readonly onReady?: (revision: number) => void;
  /** The bucket was created anew: revisions start again, so what was built from it is to be dropped. */
  readonly onReset?: () => void;
}

export interface Watching {
  /** The last revision shown. */
  readonly revision: number;
  /** Resolves when the state has been shown for the first time. */
  readonly ready: Promise<void>;
  stop(): void;
}

interface WatchDeps {
  readonly backbone: Backbone;
  readonly stream: string;
  /** Subject of the live messages. */
  readonly hint: string;
  readonly toEntry: (stored: Stored) => BucketEntry;
  readonly log: Log;
}

export function watchBucket(deps: WatchDeps, handlers: WatchHandlers): Watching {
  const watch = new BucketWatch(deps, handlers);
  void watch.run();
  return watch;
}

class BucketWatch implements Watching {
  revision = 0;
  readonly ready: Promise<void>;
  readonly #deps: WatchDeps;
  readonly #handlers: WatchHandlers;
  readonly #hints: Subscription;
  readonly #stopped = new AbortController();
  readonly #stopListening: () => void;
  #becomeReady!: () => void;
  #isReady = false;
  #created: string | undefined;
  #checkIdentity = true;
  /** Index into HINT_LOOKS_MS; at its end only the slow look is left. */
  #look = 0;
  #wake: (() => void) | undefined;

  constructor(deps: WatchDeps, handlers: WatchHandlers) {
    this.#deps = deps;
    this.#handlers = handlers;
    this.ready = new Promise((resolve) => {
      this.#becomeReady = resolve;
    });
    this.#hints = deps.backbone.subscribe(deps.hint, () => this.#hinted());
    this.#stopListening = deps.backbone.health.onChange((up) => {
      this.#checkIdentity = true; // only across an outage can another bucket stand in its place
      if (up) this.#hinted();
    });
  }

  stop(): void {
    this.#stopped.abort();
    this.#stopListening();
    this.#hints.close();
    this.#hinted();
  }

  async run(): Promise<void> {
    const { backbone, log, stream } = this.#deps;
    while (!this.#stopped.signal.aborted) {
      try {
        await backbone.health.whenUp(this.#stopped.signal);
        if (this.#checkIdentity) await this.#identify();
        const seen = this.revision;
        await this.#readOn();
        if (this.revision > seen) this.#look = 1; // another write may be a sync of the disk behind this one
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        log.warn({ stream, error: String(error) }, "kv: a look at the bucket failed");
      }
      await this.#pause();
    }
  }

  async #readOn(): Promise<void> {
    const { backbone, stream, toEntry } = this.#deps;
    for await (const stored of readAll(backbone, stream, { fromSeq: this.revision + 1 })) {
      if (this.#stopped.signal.aborted) return;
      this.#handlers.onEntry(toEntry(stored));
      this.revision = stored.seq;
    }
    if (this.#isReady) return;
    this.#isReady = true;
    this.#handlers.onReady?.(this.revision);
    this.#becomeReady();
  }

  /** A bucket of another creation time counts its revisions from 1 again. */
  async #identify(): Promise<void> {
    const { created } = await streamHead(this.#deps.backbone, this.#deps.stream);
    this.#checkIdentity = false;
    const replaced = this.#created !== undefined && this.#created !== created;
    this.#created = created;
    if (!replaced) return;
    this.#deps.log.error({ stream: this.#deps.stream }, "kv: the bucket was replaced by another one");
    this.revision = 0;
    this.#isReady = false;
    this.#handlers.onReset?.();
  }

  #hinted(): void {
    this.#look = 0;
    this.#wake?.();
  }

  /** Until a hint, or the next look is due. */
  #pause(): Promise<void> {
    const waitMs = HINT_LOOKS_MS[this.#look++] ?? LOOK_EVERY_MS;
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      this.#wake = done;
    });
  }
}

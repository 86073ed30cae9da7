// Which intents this node has taken: open ones with their work, finished ones with their answer, so that a duplicate is
// answered alike and never handled twice. Bounded: the oldest finished ones are forgotten first.

import { type DeclineReason, type Intent, revisionOf } from "@outcry/protocol";
import { Alarm } from "./alarm.js";
import { NODE_LIMITS } from "./limits.js";

export type AckAnswer =
  | { readonly status: "accepted" }
  | { readonly status: "declined"; readonly reason: DeclineReason };

export interface TakenIntent {
  readonly intent: Intent;
  readonly digest: string;
  readonly attempt: number;
  readonly deadlineMs: number;
  readonly requestId: string | undefined;
  readonly traceparent: string | undefined;
}

/** An intent from its acceptance until its handler is done and its quotes are settled. */
export class OpenIntent {
  readonly taken: TakenIntent;
  readonly alarm = new Alarm();
  readonly #abort = new AbortController();
  answer: AckAnswer = { status: "accepted" };
  cancelled = false;
  /** By a later revision of the intent: nothing is said on this one any more. */
  superseded = false;
  /** Why it was stopped before its handler had decided. */
  stopReason: DeclineReason | undefined;

  constructor(taken: TakenIntent) {
    this.taken = taken;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  cancel(reason: string): void {
    this.cancelled = true;
    this.stop(`cancelled: ${reason}`, "pass");
  }

  supersede(revision: number): void {
    this.superseded = true;
    this.stop(`amended: revision ${revision} has come`, "pass");
  }

  stop(why: string, reason: DeclineReason): void {
    this.stopReason ??= reason;
    this.#abort.abort(new DOMException(why, "AbortError"));
  }
}

/** An intent that this node has answered; `open` while it is being served. */
export interface Known {
  readonly intentId: string;
  readonly revision: number;
  readonly answer: AckAnswer;
  readonly open?: OpenIntent;
}

export class IntentBook {
  /** By digest of the intent's bytes: an amended intent is another one. */
  readonly #open = new Map<string, OpenIntent>();
  readonly #finished = new Map<string, Known>();
  readonly #cancelled = new Set<string>();
  readonly #newest = new Map<string, number>();

  get openCount(): number {
    return this.#open.size;
  }

  find(digest: string): Known | undefined {
    const open = this.#open.get(digest);
    return open === undefined ? this.#finished.get(digest) : { ...knownOf(open), open };
  }

  open(taken: TakenIntent): OpenIntent {
    const open = new OpenIntent(taken);
    this.#open.set(taken.digest, open);
    return open;
  }

  finish(open: OpenIntent): void {
    this.#open.delete(open.taken.digest);
    this.#finished.set(open.taken.digest, knownOf(open));
    forgetOldest(this.#finished);
  }

  /** A cancel may overtake its intent: that one is then not taken at all. False when it was known already. */
  noteCancelled(intentId: string): boolean {
    if (this.#cancelled.has(intentId)) return false;
    this.#cancelled.add(intentId);
    forgetOldest(this.#cancelled);
    return true;
  }

  /** Stops the work on earlier ones. False for a revision that an earlier message has overtaken. */
  noteRevision(intentId: string, revision: number): boolean {
    const newest = this.#newest.get(intentId) ?? 0;
    if (revision < newest) return false;
    if (revision > newest) {
      this.#newest.set(intentId, revision);
      forgetOldest(this.#newest);
      for (const open of this.openOf(intentId)) open.supersede(revision);
    }
    return true;
  }

  /** A later revision of it has come. */
  isSuperseded({ intentId, revision }: Known): boolean {
    return revision < (this.#newest.get(intentId) ?? 0);
  }

  isCancelled(intentId: string): boolean {
    return this.#cancelled.has(intentId);
  }

  openOf(intentId: string): OpenIntent[] {
    return this.allOpen().filter((open) => open.taken.intent.id === intentId);
  }

  allOpen(): OpenIntent[] {
    return [...this.#open.values()];
  }
}

const knownOf = ({ taken: { intent }, answer }: OpenIntent): Known => ({
  intentId: intent.id,
  revision: revisionOf(intent.payload),
  answer,
});

function forgetOldest(kept: Map<string, unknown> | Set<string>): void {
  if (kept.size <= NODE_LIMITS.rememberedIntentsMax) return;
  for (const oldest of kept.keys()) {
    kept.delete(oldest);
    return;
  }
}

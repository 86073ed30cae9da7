// Sends attempts, and remembers what a verdict needs of them: when this process has sent the last one. From before that on it hears
// every ack of the intent itself. Of all others its queue group gives it a share; the rest is in hands that may stand still or be killed.

import type { Subscription } from "@outcry/backbone";
import type { LoadedIntent } from "@outcry/delivery";
import { type FanOutDeps, fanOut } from "./fan-out.js";

const KEPT_MAX = 100_000; // open intents of a long outage

export interface SentAttemptsDeps extends FanOutDeps {
  attemptsMax: number;
  /** Longer than the next look at an attempt is away: then nobody looks any more, here at least. */
  keptMs: number;
  /** Every ack of the intent, whoever else gets it. */
  hearAll: (intentId: string) => Subscription;
}

export interface SentAttempt {
  atMs: number;
  /** How often it had been repeated. */
  repeats: number;
}

interface Entry {
  digest: string;
  attempt: number;
  begunMs: number;
  sent: SentAttempt | undefined;
  hearing: Subscription | undefined;
}

export class SentAttempts {
  readonly #deps: SentAttemptsDeps;
  /** By intent, in the order in which they were sent. */
  readonly #entries = new Map<string, Entry>();

  constructor(deps: SentAttemptsDeps) {
    this.#deps = deps;
  }

  /** Resolves as fanOut does, with the time. */
  async send(intent: LoadedIntent, attempt: number, nodes: readonly string[], repeats = 0): Promise<number> {
    const { attemptsMax, clock } = this.#deps;
    const isLast = attempt >= attemptsMax;
    // Of most attempts nothing is asked again.
    const entry = isLast || repeats > 0 ? this.#begin(intent, attempt) : undefined;
    if (isLast) entry!.hearing ??= this.#deps.hearAll(intent.id); // ahead of the intent on the same connection: no answer is earlier
    await fanOut(this.#deps, intent, attempt, nodes);
    const atMs = clock.now();
    if (entry !== undefined) entry.sent = { atMs, repeats };
    return atMs;
  }

  /** This very attempt of this revision. Undefined where another process sent it, or one that is forgotten here. */
  of(intent: LoadedIntent, attempt: number): SentAttempt | undefined {
    const entry = this.#entries.get(intent.id);
    return entry !== undefined && isOf(entry, intent, attempt) ? entry.sent : undefined;
  }

  forget(intentId: string): void {
    this.#entries.get(intentId)?.hearing?.close();
    this.#entries.delete(intentId);
  }

  /** Hears nothing more. */
  close(): void {
    for (const id of this.#entries.keys()) this.forget(id);
  }

  #begin(intent: LoadedIntent, attempt: number): Entry {
    const known = this.#entries.get(intent.id);
    const begunMs = this.#deps.clock.now();
    let entry: Entry = { digest: intent.record.request_digest, attempt, begunMs, sent: undefined, hearing: undefined };
    if (known !== undefined && isOf(known, intent, attempt)) entry = Object.assign(known, { begunMs });
    else this.forget(intent.id);
    this.#entries.delete(intent.id);
    this.#entries.set(intent.id, entry);
    this.#forgetOld(begunMs);
    return entry;
  }

  #forgetOld(nowMs: number): void {
    for (const [id, { begunMs }] of this.#entries) {
      if (this.#entries.size <= KEPT_MAX && begunMs + this.#deps.keptMs > nowMs) return;
      this.forget(id);
    }
  }
}

const isOf = ({ digest, attempt }: Entry, intent: LoadedIntent, wanted: number): boolean =>
  attempt === wanted && digest === intent.record.request_digest;

// Messages that came before those that precede them. Bounded: what does not fit is read from the record instead.

import type { SourceMessage } from "./event-source.js";

export class HeldMessages {
  readonly #messages = new Map<number, SourceMessage>();
  readonly #eventsMax: number;
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(limits: { eventsMax: number; bytesMax: number }) {
    this.#eventsMax = limits.eventsMax;
    this.#bytesMax = limits.bytesMax;
  }

  get size(): number {
    return this.#messages.size;
  }

  /** Not kept when there is no room. */
  add(message: SourceMessage): void {
    if (this.#messages.has(message.seq)) return;
    if (this.#messages.size >= this.#eventsMax || this.#bytes + message.data.length > this.#bytesMax) return;
    this.#messages.set(message.seq, message);
    this.#bytes += message.data.length;
  }

  /** The message behind `last`, if it is here. What is older is dropped. */
  take(last: number): SourceMessage | undefined {
    if (this.#messages.size === 0) return undefined;
    const next = this.#messages.get(last + 1);
    if (next === undefined) this.forgetUpTo(last);
    else this.#remove(next);
    return next;
  }

  forgetUpTo(last: number): void {
    for (const message of this.#messages.values()) if (message.seq <= last) this.#remove(message);
  }

  clear(): void {
    this.#messages.clear();
    this.#bytes = 0;
  }

  #remove(message: SourceMessage): void {
    this.#messages.delete(message.seq);
    this.#bytes -= message.data.length;
  }
}

// The event source in memory, with faults on demand: for histories by the thousand. The real one is in nats-source.ts.

import { OutcryError } from "@outcry/protocol";
import type { EventSource, SourceMessage, SourcePage, SourceQuery } from "./event-source.js";

export class MemorySource implements EventSource {
  up = true;
  epoch = "e1";
  /** Sequence of the first kept message, less one. */
  trimmed = 0;
  messages: SourceMessage[] = [];
  /** How a live message is treated on its way to each listener. */
  fate: () => "lost" | "now" | "late" | "twice" = () => "now";
  reads = 0;
  /** Reads fail although it is up. */
  failing = false;
  readonly #listeners = new Set<(message: SourceMessage) => void>();
  readonly #upListeners = new Set<(up: boolean) => void>();
  readonly #late: (readonly [(message: SourceMessage) => void, SourceMessage])[] = [];
  #time = 1_000_000;
  #createdAt = this.#time;

  publish(subject: string, n: number, more: { text?: string; type?: string; time?: number } = {}): SourceMessage {
    const { time, ...data } = more;
    return this.publishBytes(subject, Buffer.from(JSON.stringify({ n, ...data })), time);
  }

  publishBytes(subject: string, data: Uint8Array, time = this.#time + 1): SourceMessage {
    this.#time = time;
    const message = {
      seq: this.trimmed + this.messages.length + 1,
      time,
      subject,
      data,
    };
    this.messages.push(message);
    if (this.up) for (const listener of this.#listeners) this.#send(listener, message);
    return message;
  }

  /** What was late arrives, the newest first. */
  deliverLate(): void {
    for (const [listener, message] of this.#late.splice(0).toReversed())
      if (this.#listeners.has(listener)) listener(message);
  }

  trim(count: number): void {
    this.trimmed += this.messages.splice(0, count).length;
  }

  recreate(epoch: string): void {
    this.epoch = epoch;
    this.#createdAt = this.#time;
    this.trimmed = 0;
    this.messages = [];
  }

  setUp(up: boolean): void {
    this.up = up;
    for (const listener of this.#upListeners) listener(up);
  }

  listen(onMessage: (message: SourceMessage) => void): () => void {
    this.#listeners.add(onMessage);
    return () => this.#listeners.delete(onMessage);
  }

  async read({ seq, filter, batch }: SourceQuery): Promise<SourcePage> {
    await this.#roundTrip();
    this.reads++;
    const matching = this.messages.filter(
      (message) => message.seq >= seq && (filter === undefined || matches(filter, message.subject)),
    );
    return { messages: matching.slice(0, batch), pending: Math.max(0, matching.length - batch) };
  }

  async head() {
    await this.#roundTrip();
    const last = this.messages.at(-1);
    return {
      epoch: this.epoch,
      firstSeq: this.trimmed + 1,
      lastSeq: this.trimmed + this.messages.length,
      lastTime: last?.time ?? 0,
      createdAt: this.#createdAt,
    };
  }

  async newestSeq() {
    return (await this.head()).lastSeq;
  }

  onUp(listener: (up: boolean) => void): () => void {
    this.#upListeners.add(listener);
    return () => this.#upListeners.delete(listener);
  }

  async #roundTrip(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (!this.up || this.failing) throw new OutcryError("dependency_unavailable", "the source is down");
  }

  #send(listener: (message: SourceMessage) => void, message: SourceMessage): void {
    const fate = this.fate();
    if (fate === "late") this.#late.push([listener, message]);
    if (fate === "now" || fate === "twice") listener(message);
    if (fate === "twice") listener(message);
  }
}

function matches(filter: string, subject: string): boolean {
  const [wanted, found] = [filter.split("."), subject.split(".")];
  for (const [at, token] of wanted.entries()) {
    if (token === ">") return found.length > at;
    if (token !== "*" && token !== found[at]) return false;
  }
  return wanted.length === found.length;
}

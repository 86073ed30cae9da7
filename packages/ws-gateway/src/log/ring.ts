// The newest events of the log in memory: contiguous by sequence, bounded by bytes and count.
// It hands a replay over to live without a hole, and serves reconnects without a read of the record.

import type { SourceMessage } from "./event-source.js";

const EVENT_OVERHEAD_BYTES = 512; // headers that share the received chunk, the objects

export class Ring {
  /** The sequence before the oldest event: everything behind it is here. */
  floor = 0;
  bytes = 0;
  /** How often it was emptied: sequences may have begun anew. */
  clearings = 0;
  readonly #bytesMax: number;
  readonly #eventsMax: number;
  #events: SourceMessage[] = [];
  #start = 0;

  constructor(limits: { bytesMax: number; eventsMax: number }) {
    this.#bytesMax = limits.bytesMax;
    this.#eventsMax = limits.eventsMax;
  }

  get size(): number {
    return this.#events.length - this.#start;
  }

  /** Its sequence must follow the last one's. */
  push(event: SourceMessage): void {
    this.#events.push(event);
    this.bytes += weigh(event);
    while (this.size > 0 && (this.bytes > this.#bytesMax || this.size > this.#eventsMax)) this.#drop();
  }

  /** Empty, as if everything up to `floor` had been forgotten. */
  clear(floor: number): void {
    this.#events = [];
    this.#start = 0;
    this.bytes = 0;
    this.floor = floor;
    this.clearings++;
  }

  /** Events behind `seq`, which must not be below the floor. */
  *after(seq: number): Generator<SourceMessage> {
    if (seq < this.floor) throw new RangeError(`ring: ${seq} is below the floor ${this.floor}`);
    for (let at = this.#start + (seq - this.floor); at < this.#events.length; at++) yield this.#events[at]!;
  }

  /** All of them. */
  *newestFirst(): Generator<SourceMessage> {
    for (let at = this.#events.length - 1; at >= this.#start; at--) yield this.#events[at]!;
  }

  #drop(): void {
    const event = this.#events[this.#start]!;
    this.bytes -= weigh(event);
    this.floor = event.seq;
    this.#events[this.#start++] = undefined as never; // lets the bytes go before the array is cut
    if (this.#start < 1_024 || this.#start * 2 < this.#events.length) return;
    this.#events = this.#events.slice(this.#start);
    this.#start = 0;
  }
}

const weigh = (event: SourceMessage): number => event.data.length + EVENT_OVERHEAD_BYTES;

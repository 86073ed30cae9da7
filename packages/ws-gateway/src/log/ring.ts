// The newest events of the log in memory: contiguous by sequence, bounded by bytes and count.
// It hands a replay over to live without a hole, and serves reconnects without a read of the record.
// Events are copied into slabs, whose memory is used again and again: kept as they came, each would hold the whole chunk that it was
// received in, and the garbage collector would have a third of what hearing a message costs.

import type { SourceMessage } from "./event-source.js";

const SLAB_BYTES = 256 * 1024; // is freed as one
const SLAB_EVENTS = 1_024;
const EVENT_OVERHEAD_BYTES = 24; // its time and the places of its two parts
const UTF8_BYTES_MAX = 3; // of one UTF-16 code unit

export class Ring {
  /** The sequence before the oldest event: everything behind it is here. */
  floor = 0;
  /** The sequence of the newest; the floor when it is empty. */
  last = 0;
  bytes = 0;
  /** How often it was emptied: sequences may have begun anew. */
  clearings = 0;
  readonly #bytesMax: number;
  readonly #eventsMax: number;
  /** The oldest first. */
  #slabs: Slab[] = [];
  #spare: Slab | undefined;

  constructor(limits: { bytesMax: number; eventsMax: number }) {
    this.#bytesMax = limits.bytesMax;
    this.#eventsMax = limits.eventsMax;
  }

  get size(): number {
    return this.last - this.floor;
  }

  /** Its sequence must follow the last one's. */
  push(event: SourceMessage): void {
    let slab = this.#slabs.at(-1);
    if (!slab?.hasRoom(event)) this.#slabs.push((slab = this.#beginSlab(event)));
    this.bytes += slab.push(event);
    this.last = event.seq;
    while (this.size > 0 && (this.bytes > this.#bytesMax || this.size > this.#eventsMax)) this.#drop();
  }

  /** Empty, as if everything up to `floor` had been forgotten. */
  clear(floor: number): void {
    this.#slabs = [];
    this.bytes = 0;
    this.floor = floor;
    this.last = floor;
    this.clearings++;
  }

  /** A copy; undefined where it is not here. */
  at(seq: number): SourceMessage | undefined {
    return this.#slabOf(seq)?.at(seq);
  }

  subjectAt(seq: number): string | undefined {
    return this.#slabOf(seq)?.subjectAt(seq);
  }

  #drop(): void {
    const oldest = this.#slabs[0]!;
    this.floor++;
    this.bytes -= oldest.weightOf(this.floor);
    if (oldest.lastSeq === this.floor) this.#spare = this.#slabs.shift();
  }

  #beginSlab(event: SourceMessage): Slab {
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare === undefined || spare.size < needOf(event)) return new Slab(event);
    spare.begin(event);
    return spare;
  }

  /** By halves: the last slab that begins at or before it. */
  #slabOf(seq: number): Slab | undefined {
    if (seq <= this.floor || seq > this.last) return undefined;
    let low = 0;
    for (let high = this.#slabs.length - 1; low < high;) {
      const middle = (low + high + 1) >> 1;
      if (this.#slabs[middle]!.firstSeq <= seq) low = middle;
      else high = middle - 1;
    }
    return this.#slabs[low];
  }
}

/** Subject and data of each event, one behind the other. */
class Slab {
  firstSeq: number;
  readonly #bytes: Buffer;
  readonly #times = new Float64Array(SLAB_EVENTS);
  /** Of event n: its subject begins at 2n, its data at 2n + 1 and ends at 2n + 2. */
  readonly #places = new Uint32Array(2 * SLAB_EVENTS + 1);
  #count = 0;

  /** With room for its first event, however large. */
  constructor(first: SourceMessage) {
    this.firstSeq = first.seq;
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, needOf(first)));
  }

  /** Empty, for this event and those behind it. */
  begin({ seq }: SourceMessage): void {
    this.firstSeq = seq;
    this.#count = 0;
  }

  get size(): number {
    return this.#bytes.length;
  }

  get lastSeq(): number {
    return this.firstSeq + this.#count - 1;
  }

  hasRoom(event: SourceMessage): boolean {
    return this.#count < SLAB_EVENTS && this.#places[2 * this.#count]! + needOf(event) <= this.#bytes.length;
  }

  /** Returns what it weighs. */
  push({ seq, time, subject, data }: SourceMessage): number {
    const at = 2 * this.#count;
    const subjectAt = this.#places[at]!;
    const dataAt = subjectAt + this.#bytes.write(subject, subjectAt);
    this.#bytes.set(data, dataAt);
    this.#places[at + 1] = dataAt;
    this.#places[at + 2] = dataAt + data.length;
    this.#times[this.#count++] = time;
    return this.weightOf(seq);
  }

  at(seq: number): SourceMessage {
    const index = seq - this.firstSeq;
    const data = this.#bytes.subarray(this.#places[2 * index + 1], this.#places[2 * index + 2]);
    return { seq, time: this.#times[index]!, subject: this.subjectAt(seq), data: Buffer.from(data) };
  }

  subjectAt(seq: number): string {
    const at = 2 * (seq - this.firstSeq);
    return this.#bytes.toString("utf8", this.#places[at], this.#places[at + 1]);
  }

  weightOf(seq: number): number {
    const at = 2 * (seq - this.firstSeq);
    return this.#places[at + 2]! - this.#places[at]! + EVENT_OVERHEAD_BYTES;
  }
}

const needOf = ({ subject, data }: SourceMessage): number => subject.length * UTF8_BYTES_MAX + data.length;

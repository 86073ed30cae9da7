// Which events of the ring belong to a channel, so that a resume looks at its own events and not at everyone's. Made when it is first
// asked, and carried on from there: a process that nobody comes back to pays nothing.

import type { Ring } from "../log/ring.js";
import type { Policy } from "./policy.js";

const CHUNK_EVENTS = 1_024; // forgotten together, when the ring has forgotten the last of them

interface Chunk {
  last: number;
  events: number;
  /** Their sequences. */
  readonly byKey: Map<string, number[]>;
}

export class ChannelIndex {
  readonly #ring: Ring;
  readonly #keysOf: Policy["keysOf"];
  /** The oldest first. */
  #chunks: Chunk[] = [];
  #through = 0;
  #clearings = -1;

  constructor(ring: Ring, keysOf: Policy["keysOf"]) {
    this.#ring = ring;
    this.#keysOf = keysOf;
  }

  /** Sequences of the channel's events behind `seq`, which must not be below the ring's floor. */
  after(key: string, seq: number): number[] {
    this.#catchUp();
    const found: number[] = [];
    for (const { last, byKey } of this.#chunks) {
      if (last <= seq) continue;
      for (const each of byKey.get(key) ?? []) if (each > seq) found.push(each);
    }
    return found;
  }

  hasAfter(key: string, seq: number): boolean {
    this.#catchUp();
    return this.#chunks.some(({ byKey }) => (byKey.get(key)?.at(-1) ?? 0) > seq);
  }

  #catchUp(): void {
    const { floor, last, clearings } = this.#ring;
    if (clearings !== this.#clearings) {
      this.#chunks = [];
      this.#through = floor;
      this.#clearings = clearings;
    }
    while (this.#chunks.length > 0 && this.#chunks[0]!.last <= floor) this.#chunks.shift();
    for (let seq = Math.max(this.#through, floor) + 1; seq <= last; seq++) this.#add(seq, this.#ring.subjectAt(seq)!);
  }

  #add(seq: number, subject: string): void {
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || chunk.events >= CHUNK_EVENTS) {
      chunk = { last: 0, events: 0, byKey: new Map() };
      this.#chunks.push(chunk);
    }
    for (const key of this.#keysOf(subject)) {
      const seqs = chunk.byKey.get(key);
      if (seqs === undefined) chunk.byKey.set(key, [seq]);
      else seqs.push(seq);
    }
    chunk.last = seq;
    chunk.events++;
    this.#through = seq;
  }
}

// The ring's events of a channel as its readers get them: frames joined once, in blocks, so that whoever comes back takes what it missed
// in a few pieces, wherever it begins. Made when somebody comes back for many events; bounded by bytes, the one longest unused goes first.

import type { SourceMessage } from "../log/event-source.js";
import type { Ring } from "../log/ring.js";
import type { ChannelIndex } from "./channel-index.js";
import type { Position } from "./cursor.js";
import type { Format } from "./format.js";
import type { Framed } from "./frame-cache.js";
import type { Route } from "./policy.js";
import { partBytesMax, type PartLimits, type Reader, type ReplayPart } from "./replay-parts.js";

const EVENT_OVERHEAD_BYTES = 64; // where it begins, where it ends

export interface TapesDeps {
  readonly limits: PartLimits & { readonly tapesBytesMax: number; readonly tapeEventsMin: number };
  readonly ring: Ring;
  readonly index: ChannelIndex;
  readonly framed: (route: Route, format: Format, event: SourceMessage) => Framed;
}

export class FrameTapes {
  readonly #deps: TapesDeps;
  /** The one longest unused first. */
  readonly #tapes = new Map<string, FrameTape>();
  #bytes = 0;
  #clearings = -1;

  constructor(deps: TapesDeps) {
    this.#deps = deps;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether the ring has any. */
  hasAfter(seq: number, { route }: Reader): boolean {
    return this.#deps.index.hasAfter(route.key, seq);
  }

  /** What the ring has of the reader's channel behind `seq`, which is not below the ring's floor. */
  after(seq: number, reader: Reader): Iterable<ReplayPart> {
    const { ring, index } = this.#deps;
    if (ring.clearings !== this.#clearings) this.#clear();
    const key = keyOf(reader);
    let tape = this.#tapes.get(key);
    // One that begins later, or that the ring cannot carry on: there may be a hole behind its end.
    if (tape === undefined || tape.from > seq || tape.through < ring.floor) {
      const missed = index.after(reader.route.key, seq);
      if (missed.length < this.#deps.limits.tapeEventsMin) return this.#oneByOne(missed, reader);
      this.#forget(key);
      tape = new FrameTape(this.#deps, reader, seq);
    }
    this.#carryOn(key, tape);
    return tape.after(seq);
  }

  *#oneByOne(seqs: readonly number[], { route, format, filter }: Reader): Generator<ReplayPart> {
    const { ring, framed } = this.#deps;
    for (const seq of seqs) {
      const event = ring.at(seq)!;
      const { type, frame } = framed(route, format, event);
      yield { bytes: filter.passes(() => type) ? frame : NOTHING, last: { seq, time: event.time } };
    }
  }

  /** To the ring's end; it is the one used last. */
  #carryOn(key: string, tape: FrameTape): void {
    const { limits } = this.#deps;
    this.#forget(key);
    tape.carryOn();
    this.#tapes.set(key, tape);
    this.#bytes += tape.bytes;
    for (const oldest of this.#tapes.keys()) {
      if (this.#bytes <= limits.tapesBytesMax) break;
      this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    this.#bytes -= this.#tapes.get(key)?.bytes ?? 0;
    this.#tapes.delete(key);
  }

  /** The stream may have begun anew, and cursors are bound to another epoch then. */
  #clear(): void {
    this.#clearings = this.#deps.ring.clearings;
    this.#tapes.clear();
    this.#bytes = 0;
  }
}

/** Formats are told apart by identity: a sink in this process may bring its own, of any name. */
const formatIds = new WeakMap<Format, number>();
let formats = 0;

function keyOf({ route, format, filter }: Reader): string {
  const id = formatIds.get(format) ?? ++formats;
  formatIds.set(format, id);
  return JSON.stringify([id, route.view, route.key, route.channel, filter.key]);
}

class FrameTape {
  bytes = 0;
  /** Every event of the channel behind it is here. */
  from: number;
  through: number;
  readonly #deps: TapesDeps;
  readonly #reader: Reader;
  readonly #blocks: Block[] = [];

  constructor(deps: TapesDeps, reader: Reader, from: number) {
    this.#deps = deps;
    this.#reader = reader;
    this.from = from;
    this.through = from;
  }

  /** The rest of the channel that the ring has. */
  carryOn(): void {
    const { ring, index, limits, framed } = this.#deps;
    const { route, format, filter } = this.#reader;
    for (const seq of index.after(route.key, this.through)) {
      const event = ring.at(seq)!;
      const { type, frame } = framed(route, format, event);
      let block = this.#blocks.at(-1);
      if (block === undefined || block.bytes >= partBytesMax(limits)) this.#blocks.push((block = new Block()));
      const passes = filter.passes(() => type);
      block.push(event, passes ? frame : NOTHING);
      this.bytes += EVENT_OVERHEAD_BYTES + (passes ? frame.length : 0);
      this.through = seq;
    }
    this.#forgetUpTo(ring.floor);
  }

  /** Whoever comes from there reads the record. */
  #forgetUpTo(floor: number): void {
    let count = 0;
    for (const { last, size } of this.#blocks) {
      if (last.seq > floor) break;
      this.bytes -= size;
      this.from = last.seq;
      count++;
    }
    this.#blocks.splice(0, count);
  }

  *after(seq: number): Generator<ReplayPart> {
    for (const block of this.#blocks) if (block.last.seq > seq) yield { bytes: block.after(seq), last: block.last };
  }
}

const NOTHING = Buffer.alloc(0); // of an event that the filter does not pass

class Block {
  bytes = 0;
  last: Position = { seq: 0, time: 0 };
  readonly #seqs: number[] = [];
  readonly #starts: number[] = [];
  /** One, once it was asked for; those that came since behind it. */
  #frames: Buffer[] = [];

  push({ seq, time }: SourceMessage, frame: Buffer): void {
    this.#seqs.push(seq);
    this.#starts.push(this.bytes);
    this.#frames.push(frame);
    this.bytes += frame.length;
    this.last = { seq, time };
  }

  /** With what its events cost beside their bytes. */
  get size(): number {
    return this.bytes + this.#seqs.length * EVENT_OVERHEAD_BYTES;
  }

  after(seq: number): Buffer {
    if (this.#frames.length > 1) this.#frames = [Buffer.concat(this.#frames)];
    const first = this.#firstBehind(seq);
    return first === 0 ? this.#frames[0]! : this.#frames[0]!.subarray(this.#starts[first]);
  }

  /** By halves: the index of the first event behind `seq`, which is before the last. */
  #firstBehind(seq: number): number {
    let low = 0;
    for (let high = this.#seqs.length - 1; low < high;) {
      const middle = (low + high) >> 1;
      if (this.#seqs[middle]! > seq) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

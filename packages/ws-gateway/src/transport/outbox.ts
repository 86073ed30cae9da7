// What waits to be written to one socket: shared frames, bounded by bytes and count, written once per turn of the event loop.
// Frames go past `ws`, straight to its socket: safe because each is whole, deflate is off and `ws` itself only writes whole
// control frames. Nothing is handed to a socket that asks to wait, so Node never buffers more than one write.

import type { GatewayLimits } from "../limits.js";
import { Portion } from "./portion.js";

/** Where the bytes go: a socket, or an HTTP answer. */
export interface Outlet {
  readonly writableNeedDrain: boolean;
  readonly destroyed: boolean;
  write(bytes: Buffer): boolean;
  /** Between the two, what is written goes out as one; absent where each write is an answer of its own. */
  cork?(): void;
  uncork?(): void;
  once(event: "drain", listener: () => void): unknown;
}

export class Outbox {
  /** When the socket last took something, or had nothing to take; by `performance.now()`. */
  movedAt = performance.now();
  readonly #socket: Outlet;
  readonly #limits: GatewayLimits;
  readonly #flusher: Flusher;
  #waiting: ((open: boolean) => void)[] = NOBODY;
  /** What goes out next, where more than one write is due. */
  #full: Portion[] = NONE;
  #last: Portion;
  #bytes = 0;
  #frames = 0;
  #scheduled = false;
  /** The socket asked to wait: few ever do, so that few have a listener. */
  #draining = false;
  #closed = false;

  constructor(socket: Outlet, flusher: Flusher, limits: GatewayLimits) {
    this.#socket = socket;
    this.#flusher = flusher;
    this.#limits = limits;
    this.#last = flusher.nothing;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get frames(): number {
    return this.#frames;
  }

  /** False when it is full or closed; the frame was then not taken. */
  offer(frame: Buffer): boolean {
    const { queueBytesMax, queueFramesMax, writeBytesMax } = this.#limits;
    const bytes = this.#bytes + frame.length;
    if (this.#closed || this.#frames >= queueFramesMax || (bytes > queueBytesMax && this.#bytes > 0)) return false;
    this.#schedule();
    if (this.#bytes === 0) this.movedAt = this.#flusher.passAt;
    if (this.#last.bytes + frame.length > writeBytesMax && this.#last.count > 0) this.#beginPortion();
    this.#last = this.#last.with(frame);
    this.#bytes = bytes;
    this.#frames++;
    return true;
  }

  ready(): Promise<boolean> {
    if (this.#closed || this.#isHalfFree()) return Promise.resolve(!this.#closed);
    if (this.#waiting === NOBODY) this.#waiting = [];
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Writes one portion if the socket takes it. */
  flush(now: number): void {
    this.#scheduled = false;
    if (this.#closed || this.#frames === 0 || this.#socket.destroyed) return;
    if (this.#socket.writableNeedDrain) return this.#awaitDrain();
    const portion = this.#takePortion();
    this.movedAt = now;
    const room = this.#write(portion.pieces());
    if (!room) this.#awaitDrain();
    else if (this.#frames > 0) this.#schedule();
    if (this.#waiting.length > 0) this.#wake();
  }

  /** Writes what is queued, whether the socket likes it or not, and takes nothing more: for the last words. */
  end(): void {
    if (!this.#closed && this.#frames > 0 && !this.#socket.destroyed) {
      const pieces: Buffer[] = [];
      while (this.#frames > 0) pieces.push(...this.#takePortion().pieces());
      this.#socket.write(Buffer.concat(pieces)); // in one: a long poll has one answer
    }
    this.discard();
  }

  discard(): void {
    this.#closed = true;
    this.#full = NONE;
    this.#last = this.#flusher.nothing;
    this.#bytes = 0;
    this.#frames = 0;
    this.#wake();
  }

  #beginPortion(): void {
    if (this.#full === NONE) this.#full = [];
    this.#full.push(this.#last);
    this.#last = this.#flusher.nothing;
  }

  #takePortion(): Portion {
    let portion = this.#last;
    if (this.#full.length > 0) portion = this.#full.shift()!;
    else this.#last = this.#flusher.nothing;
    this.#bytes -= portion.bytes;
    this.#frames -= portion.count;
    return portion;
  }

  #write(pieces: readonly Buffer[]): boolean {
    const socket = this.#socket;
    if (pieces.length === 1) return socket.write(pieces[0]!);
    if (socket.cork === undefined || socket.uncork === undefined) return socket.write(Buffer.concat(pieces));
    socket.cork();
    for (const piece of pieces) socket.write(piece);
    socket.uncork();
    return !socket.writableNeedDrain;
  }

  #awaitDrain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#socket.once("drain", () => {
      this.#draining = false;
      this.movedAt = performance.now();
      if (this.#frames > 0) this.#schedule();
      this.#wake();
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#flusher.add(this);
  }

  #isHalfFree(): boolean {
    return this.#bytes * 2 <= this.#limits.queueBytesMax && this.#frames * 2 <= this.#limits.queueFramesMax;
  }

  #wake(): void {
    if (this.#waiting.length === 0 || !(this.#closed || this.#isHalfFree())) return;
    for (const resolve of this.#waiting.splice(0)) resolve(!this.#closed);
  }
}

const NONE: Portion[] = []; // of every outbox that has nothing more than one write to do
const NOBODY: ((open: boolean) => void)[] = []; // and of each that nobody waits for

/** Flushes all outboxes that got something, the first of them first, once per turn of the event loop and for a bounded time in each. */
export class Flusher {
  /** Where every queue begins: what waits in several is made of it, and is one. */
  readonly nothing = Portion.empty();
  /** When the turn's first of them got something; by `performance.now()`. */
  passAt = 0;
  readonly #sliceMs: number;
  #outboxes: Outbox[] = [];

  constructor({ flushSliceMs }: Pick<GatewayLimits, "flushSliceMs">) {
    this.#sliceMs = flushSliceMs;
  }

  add(outbox: Outbox): void {
    if (this.#outboxes.length === 0) {
      this.passAt = performance.now();
      setImmediate(() => this.#flush());
    }
    this.#outboxes.push(outbox);
  }

  /** Those that ask again meanwhile have their turn in the next one. */
  #flush(): void {
    const outboxes = this.#outboxes;
    const count = outboxes.length;
    this.passAt = performance.now();
    let now = this.passAt;
    let done = 0;
    while (done < count && now - this.passAt < this.#sliceMs) {
      const until = Math.min(count, done + FLUSHES_PER_LOOK);
      while (done < until) outboxes[done++]!.flush(now);
      now = performance.now();
    }
    this.#outboxes = outboxes.slice(done);
    if (this.#outboxes.length === 0) this.nothing.forget();
    else setImmediate(() => this.#flush());
  }
}

const FLUSHES_PER_LOOK = 8; // at the clock: some 60 µs of writes

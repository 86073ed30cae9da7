// What waits to be written to one socket: shared frames, bounded by bytes and count, written once per turn of the event loop.
// Frames go past `ws`, straight to its socket: safe because each is whole, deflate is off and `ws` itself only writes whole
// control frames. Nothing is handed to a socket that asks to wait, so Node never buffers more than one write.

import type { GatewayLimits } from "../limits.js";

/** Where the bytes go: a socket, or an HTTP answer. */
export interface Outlet {
  readonly writableNeedDrain: boolean;
  readonly destroyed: boolean;
  write(bytes: Buffer): boolean;
  on(event: "drain", listener: () => void): unknown;
}

export class Outbox {
  /** When the socket last took something, or had nothing to take; by `performance.now()`. */
  movedAt = performance.now();
  readonly #socket: Outlet;
  readonly #limits: GatewayLimits;
  readonly #flusher: Flusher;
  readonly #waiting: ((open: boolean) => void)[] = [];
  #frames: Buffer[] = [];
  #bytes = 0;
  #scheduled = false;
  #closed = false;

  constructor(socket: Outlet, flusher: Flusher, limits: GatewayLimits) {
    this.#socket = socket;
    this.#flusher = flusher;
    this.#limits = limits;
    socket.on("drain", () => this.#onDrain());
  }

  get bytes(): number {
    return this.#bytes;
  }

  get frames(): number {
    return this.#frames.length;
  }

  /** False when it is full or closed; the frame was then not taken. */
  offer(frame: Buffer): boolean {
    const { queueBytesMax, queueFramesMax } = this.#limits;
    if (
      this.#closed ||
      this.#frames.length >= queueFramesMax ||
      (this.#bytes + frame.length > queueBytesMax && this.#bytes > 0)
    )
      return false;
    if (this.#bytes === 0) this.movedAt = performance.now();
    this.#frames.push(frame);
    this.#bytes += frame.length;
    this.#schedule();
    return true;
  }

  ready(): Promise<boolean> {
    if (this.#closed || this.#isHalfFree()) return Promise.resolve(!this.#closed);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Writes one portion if the socket takes it. `written` keeps the last portion for sockets that get the same. */
  flush(written: Portion): void {
    this.#scheduled = false;
    if (this.#closed || this.#frames.length === 0 || this.#socket.writableNeedDrain || this.#socket.destroyed) return;
    const frames = this.#takePortion();
    this.movedAt = performance.now();
    const room = this.#socket.write(written.bytesOf(frames));
    if (room && this.#frames.length > 0) this.#schedule();
    this.#wake();
  }

  /** Writes what is queued, whether the socket likes it or not, and takes nothing more: for the last words. */
  end(): void {
    if (!this.#closed && this.#frames.length > 0 && !this.#socket.destroyed)
      this.#socket.write(Buffer.concat(this.#frames));
    this.discard();
  }

  discard(): void {
    this.#closed = true;
    this.#frames = [];
    this.#bytes = 0;
    this.#wake();
  }

  #takePortion(): Buffer[] {
    let bytes = 0;
    let count = 0;
    while (
      count < this.#frames.length &&
      (count === 0 || bytes + this.#frames[count]!.length <= this.#limits.writeBytesMax)
    ) {
      bytes += this.#frames[count++]!.length;
    }
    this.#bytes -= bytes;
    if (count === this.#frames.length) {
      const all = this.#frames;
      this.#frames = [];
      return all;
    }
    return this.#frames.splice(0, count);
  }

  #onDrain(): void {
    this.movedAt = performance.now();
    if (this.#frames.length > 0) this.#schedule();
    this.#wake();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#flusher.add(this);
  }

  #isHalfFree(): boolean {
    return this.#bytes * 2 <= this.#limits.queueBytesMax && this.#frames.length * 2 <= this.#limits.queueFramesMax;
  }

  #wake(): void {
    if (this.#waiting.length === 0 || !(this.#closed || this.#isHalfFree())) return;
    for (const resolve of this.#waiting.splice(0)) resolve(!this.#closed);
  }
}

/** Flushes all outboxes that got something, in one pass per turn. */
export class Flusher {
  #outboxes: Outbox[] = [];

  add(outbox: Outbox): void {
    if (this.#outboxes.length === 0) setImmediate(() => this.#flush());
    this.#outboxes.push(outbox);
  }

  #flush(): void {
    const outboxes = this.#outboxes;
    this.#outboxes = [];
    const written = new Portion();
    for (const outbox of outboxes) outbox.flush(written);
  }
}

/** The bytes of the last frames that were asked for: subscribers of one channel mostly get the same. */
export class Portion {
  #frames: readonly Buffer[] = [];
  #bytes: Buffer = Buffer.alloc(0);

  bytesOf(frames: readonly Buffer[]): Buffer {
    if (frames.length === 1) return frames[0]!;
    if (!this.#isLast(frames)) {
      this.#frames = frames;
      this.#bytes = Buffer.concat(frames);
    }
    return this.#bytes;
  }

  #isLast(frames: readonly Buffer[]): boolean {
    if (frames.length !== this.#frames.length) return false;
    for (let at = 0; at < frames.length; at++) if (frames[at] !== this.#frames[at]) return false;
    return true;
  }
}

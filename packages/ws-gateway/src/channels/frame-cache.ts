// Frames that were made already, of the newest events: whoever comes back a moment later gets the bytes that the others got. Bounded by
// bytes; the event whose first frame is the oldest goes first.

import type { SourceMessage } from "../log/event-source.js";
import type { Format } from "./format.js";
import type { Route } from "./policy.js";

export interface Framed {
  readonly type: string;
  readonly frame: Buffer;
}

interface Kept extends Framed {
  readonly route: Route;
  readonly format: Format;
}

const EVENT_OVERHEAD_BYTES = 128; // its entry

export class FrameCache {
  readonly #bytesMax: number;
  /** By sequence: whoever gives it another stream clears it. */
  readonly #bySeq = new Map<number, Kept[]>();
  /** In the order of their first frames; a Map's own order costs a walk over all that were deleted. */
  #seqs: number[] = [];
  #start = 0;
  #bytes = 0;

  constructor(limits: { framesBytesMax: number }) {
    this.#bytesMax = limits.framesBytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  find({ seq }: SourceMessage, { key, channel, view }: Route, format: Format): Framed | undefined {
    return this.#bySeq
      .get(seq)
      ?.find(
        (kept) =>
          kept.format === format &&
          kept.route.channel === channel &&
          kept.route.view === view &&
          kept.route.key === key,
      );
  }

  add({ seq }: SourceMessage, route: Route, format: Format, framed: Framed): void {
    const kept = this.#bySeq.get(seq);
    if (kept === undefined) {
      this.#bySeq.set(seq, [{ ...framed, route, format }]);
      this.#seqs.push(seq);
      this.#bytes += EVENT_OVERHEAD_BYTES;
    } else kept.push({ ...framed, route, format });
    this.#bytes += framed.frame.length;
    while (this.#bytes > this.#bytesMax) this.#dropOldest();
  }

  clear(): void {
    this.#bySeq.clear();
    this.#seqs = [];
    this.#start = 0;
    this.#bytes = 0;
  }

  #dropOldest(): void {
    const oldest = this.#seqs[this.#start++]!;
    this.#bytes -= EVENT_OVERHEAD_BYTES;
    for (const { frame } of this.#bySeq.get(oldest)!) this.#bytes -= frame.length;
    this.#bySeq.delete(oldest);
    if (this.#start < 1_024 || this.#start * 2 < this.#seqs.length) return;
    this.#seqs = this.#seqs.slice(this.#start);
    this.#start = 0;
  }
}

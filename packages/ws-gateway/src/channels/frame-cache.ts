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

const EVENT_OVERHEAD_BYTES = 512; // its entry, and the event itself where the ring has let it go

export class FrameCache {
  readonly #bytesMax: number;
  readonly #byEvent = new Map<SourceMessage, Kept[]>();
  /** In the order of their first frames; a Map's own order costs a walk over all that were deleted. */
  #events: SourceMessage[] = [];
  #start = 0;
  #bytes = 0;

  constructor(limits: { framesBytesMax: number }) {
    this.#bytesMax = limits.framesBytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  find(event: SourceMessage, { key, channel, view }: Route, format: Format): Framed | undefined {
    return this.#byEvent
      .get(event)
      ?.find(
        (kept) =>
          kept.format === format &&
          kept.route.channel === channel &&
          kept.route.view === view &&
          kept.route.key === key,
      );
  }

  add(event: SourceMessage, route: Route, format: Format, framed: Framed): void {
    const kept = this.#byEvent.get(event);
    if (kept === undefined) {
      this.#byEvent.set(event, [{ ...framed, route, format }]);
      this.#events.push(event);
      this.#bytes += EVENT_OVERHEAD_BYTES + event.data.length;
    } else kept.push({ ...framed, route, format });
    this.#bytes += framed.frame.length;
    while (this.#bytes > this.#bytesMax) this.#dropOldest();
  }

  clear(): void {
    this.#byEvent.clear();
    this.#events = [];
    this.#start = 0;
    this.#bytes = 0;
  }

  #dropOldest(): void {
    const oldest = this.#events[this.#start]!;
    this.#events[this.#start++] = undefined as never; // lets the event go before the array is cut
    this.#bytes -= EVENT_OVERHEAD_BYTES + oldest.data.length;
    for (const { frame } of this.#byEvent.get(oldest)!) this.#bytes -= frame.length;
    this.#byEvent.delete(oldest);
    if (this.#start < 1_024 || this.#start * 2 < this.#events.length) return;
    this.#events = this.#events.slice(this.#start);
    this.#start = 0;
  }
}

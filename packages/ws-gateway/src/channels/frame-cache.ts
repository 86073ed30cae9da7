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
    if (kept === undefined) this.#byEvent.set(event, [{ ...framed, route, format }]);
    else kept.push({ ...framed, route, format });
    this.#bytes += framed.frame.length + (kept === undefined ? EVENT_OVERHEAD_BYTES + event.data.length : 0);
    for (const [oldest, frames] of this.#byEvent) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#byEvent.delete(oldest);
      this.#bytes -= EVENT_OVERHEAD_BYTES + oldest.data.length;
      for (const { frame } of frames) this.#bytes -= frame.length;
    }
  }

  clear(): void {
    this.#byEvent.clear();
    this.#bytes = 0;
  }
}

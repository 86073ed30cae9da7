// A page of the record as one subscriber after another gets it: its frames joined, made once for all who ask with the same cursor. They
// live as long as the page is kept.

import type { SourceMessage } from "../log/event-source.js";
import type { Position } from "./cursor.js";
import type { EventFilter } from "./event-filter.js";
import type { Format } from "./format.js";
import type { Framed } from "./frame-cache.js";
import type { Route } from "./policy.js";

export interface ReplayPart {
  /** Whole frames, one behind the other; none where the filter passes none of its events. */
  readonly bytes: Buffer;
  /** Of the part's last event. */
  readonly last: Position;
}

export interface PartLimits {
  readonly replayPartBytesMax: number;
  readonly queueBytesMax: number;
}

/** A queue that is half free must have room for one, or its replay would never go on. */
export const partBytesMax = ({ replayPartBytesMax, queueBytesMax }: PartLimits): number =>
  Math.min(replayPartBytesMax, queueBytesMax / 4);

/** Who gets the same bytes. */
export interface Reader {
  readonly route: Route;
  readonly format: Format;
  readonly filter: EventFilter;
}

type FramePage = (route: Route, format: Format, events: readonly SourceMessage[]) => readonly Framed[];

interface Made extends Reader {
  readonly parts: readonly ReplayPart[];
}

export class ReplayParts {
  readonly #partBytesMax: number;
  readonly #framed: FramePage;
  #byPage = new WeakMap<readonly SourceMessage[], Made[]>();

  constructor(limits: PartLimits, framed: FramePage) {
    this.#partBytesMax = partBytesMax(limits);
    this.#framed = framed;
  }

  of(events: readonly SourceMessage[], reader: Reader): readonly ReplayPart[] {
    const { format, filter, route } = reader;
    const made = this.#byPage.get(events) ?? [];
    const found = made.find(
      (other) =>
        other.format === format &&
        other.filter.key === filter.key &&
        other.route.channel === route.channel &&
        other.route.view === route.view &&
        other.route.key === route.key,
    );
    if (found !== undefined) return found.parts;
    const parts = [...this.#make(events, reader)];
    this.#byPage.set(events, [...made, { route, format, filter, parts }]);
    return parts;
  }

  /** Cursors are bound to another epoch from now on. */
  clear(): void {
    this.#byPage = new WeakMap();
  }

  *#make(events: readonly SourceMessage[], { route, format, filter }: Reader): Generator<ReplayPart> {
    let frames: Buffer[] = [];
    let bytes = 0;
    const framed = this.#framed(route, format, events);
    for (const [index, event] of events.entries()) {
      const { type, frame } = framed[index]!;
      if (filter.passes(() => type)) bytes += frames[frames.push(frame) - 1]!.length;
      if (bytes < this.#partBytesMax && index < events.length - 1) continue;
      yield { bytes: Buffer.concat(frames), last: { seq: event.seq, time: event.time } };
      frames = [];
      bytes = 0;
    }
  }
}

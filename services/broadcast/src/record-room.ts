// How full the streams are. Above the mark POST answers record_full and readiness turns red, before anything breaks:
// an intent that is accepted must find room for its events, quotes and dead letters too.

import { type Backbone, streamHead } from "@outcry/backbone";
import { LIMITS, type Log, OutcryError, isTemporary } from "@outcry/protocol";

const LOOK_EVERY_MS = 2_000;
const LOOK_CLOSELY_EVERY_MS = 100; // from LOOK_CLOSELY_FROM on: a burst must not fill the rest between two looks
const LOOK_CLOSELY_FROM = 0.5;

export interface RecordRoom {
  /** Throws record_full while a stream is fuller than the mark. */
  requireRoom(): void;
  check(): { ok: boolean; detail: string };
  stop(): void;
}

export function watchRoom(
  backbone: Backbone,
  streams: readonly string[],
  log: Log,
  ratioMax: number = LIMITS.recordFullRatio,
): RecordRoom {
  let full: string | undefined;
  let timer: NodeJS.Timeout;
  let stopped = false;

  async function look(): Promise<void> {
    let fullness = 0;
    try {
      const heads = await Promise.all(
        streams.map(async (stream) => ({ stream, head: await streamHead(backbone, stream) })),
      );
      const ratios = heads.map(({ stream, head }) => ({
        stream,
        ratio: head.bytesMax > 0 ? head.bytes / head.bytesMax : 0,
      }));
      const fullest = ratios.toSorted((one, other) => other.ratio - one.ratio)[0];
      fullness = fullest?.ratio ?? 0;
      const now =
        fullest && fullness > ratioMax ? `${fullest.stream} is ${Math.round(100 * fullness)} % full` : undefined;
      if (now !== undefined && full === undefined)
        log.error({ detail: now }, "the record is nearly full; POST is refused");
      full = now;
    } catch (error) {
      // While NATS is away nothing is appended either; the last answer stands.
      if (!isTemporary(error)) log.error({ err: error }, "the streams' size cannot be read");
    }
    if (!stopped)
      timer = setTimeout(() => void look(), fullness > LOOK_CLOSELY_FROM ? LOOK_CLOSELY_EVERY_MS : LOOK_EVERY_MS);
  }

  void look();
  return {
    requireRoom() {
      if (full !== undefined) throw new OutcryError("record_full", full);
    },
    check: () => ({ ok: full === undefined, detail: full ?? `below ${Math.round(100 * ratioMax)} %` }),
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

// How full the streams are. Above the mark POST answers record_full and readiness turns red, before anything breaks:
// an intent that is accepted must find room for its events, quotes and dead letters too.

import { type Backbone, streamHead } from "@outcry/backbone";
import { LIMITS, type Log, OutcryError, isTemporary } from "@outcry/protocol";

const LOOK_EVERY_MS = 2_000;

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

  async function look(): Promise<void> {
    try {
      const heads = await Promise.all(
        streams.map(async (stream) => ({ stream, head: await streamHead(backbone, stream) })),
      );
      const fullest = heads.find(({ head }) => head.bytesMax > 0 && head.bytes > ratioMax * head.bytesMax);
      const now =
        fullest && `${fullest.stream} is ${Math.round((100 * fullest.head.bytes) / fullest.head.bytesMax)} % full`;
      if (now !== undefined && full === undefined)
        log.error({ detail: now }, "the record is nearly full; POST is refused");
      full = now;
    } catch (error) {
      // While NATS is away nothing is appended either; the last answer stands.
      if (!isTemporary(error)) log.error({ err: error }, "the streams' size cannot be read");
    }
  }

  void look();
  const timer = setInterval(() => void look(), LOOK_EVERY_MS);
  return {
    requireRoom() {
      if (full !== undefined) throw new OutcryError("record_full", full);
    },
    check: () => ({ ok: full === undefined, detail: full ?? `below ${Math.round(100 * ratioMax)} %` }),
    stop: () => clearInterval(timer),
  };
}

// Makes the tap, and makes it again when EVENTS was made anew. One process per tap; what it is away for is done when it is back,
// and a gateway finds a tap of another epoch by itself (docs/regions.md).

import { type Backbone, ensureTap } from "@outcry/backbone";
import type { Log } from "@outcry/protocol";

const LOOK_EVERY_MS = 2_000;

export interface KeepTapDeps {
  readonly record: Backbone;
  readonly local: Backbone;
  readonly tap: string;
  readonly log: Log;
}

export interface TapKeeper {
  /** What keeps the tap from being what it must; undefined when all is well. */
  readonly trouble: string | undefined;
  stop(): Promise<void>;
}

export function keepTap({ log, ...deps }: KeepTapDeps): TapKeeper {
  const stopping = new AbortController();
  let trouble: string | undefined = "not looked at yet";
  const look = async (): Promise<void> => {
    try {
      const { stream, epoch, outcome } = await ensureTap(deps);
      if (outcome === "created") log.info({ stream, epoch }, "tap: made");
      if (outcome === "remade") log.error({ stream, epoch }, "tap: the events were made anew; so was the tap");
      trouble = undefined;
    } catch (error) {
      const found = error instanceof Error ? error.message : String(error);
      if (found !== trouble) log.warn({ error: found }, "tap: it is not what it must be");
      trouble = found;
    }
  };
  const running = (async () => {
    while (!stopping.signal.aborted) {
      await look();
      await pause(LOOK_EVERY_MS, stopping.signal);
    }
  })();
  return {
    get trouble() {
      return trouble;
    },
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => (clearTimeout(timer), signal.removeEventListener("abort", done), resolve());
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}

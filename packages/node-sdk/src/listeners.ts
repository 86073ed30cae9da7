// The node's own events. A listener that throws is logged and disturbs nobody.

import type { Log } from "@outcry/protocol";
import type { NodeEvents } from "./options.js";

type Listener<E extends keyof NodeEvents> = (value: NodeEvents[E]) => void;

export class Listeners {
  readonly #log: Log;
  readonly #byEvent: { [E in keyof NodeEvents]: Set<Listener<E>> } = {
    status: new Set(),
    notice: new Set(),
    caughtUp: new Set(),
    quote: new Set(),
    error: new Set(),
  };

  constructor(log: Log) {
    this.#log = log;
  }

  add<E extends keyof NodeEvents>(event: E, listener: Listener<E>): void {
    this.#byEvent[event].add(listener);
  }

  readonly emit = <E extends keyof NodeEvents>(event: E, value: NodeEvents[E]): void => {
    for (const listener of this.#byEvent[event]) {
      try {
        listener(value);
      } catch (error) {
        this.#log.error({ event, error: String(error) }, "node: a listener failed");
      }
    }
  };
}

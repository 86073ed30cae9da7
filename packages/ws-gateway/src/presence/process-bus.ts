// What the gateway's processes tell each other, at most once and never stored: core NATS.

import type { Backbone } from "@outcry/backbone";

export interface ProcessBus {
  readonly up: boolean;
  /** Reaches every process, the sender too. Lost while `up` is false. */
  publish(subject: string, data: Uint8Array): void;
  /** Returns the way to stop. */
  subscribe(subject: string, onMessage: (data: Uint8Array) => void): () => void;
  /** Called on each change. Returns the way to stop. */
  onUp(listener: (up: boolean) => void): () => void;
}

export const natsBus = (backbone: Backbone): ProcessBus => ({
  get up() {
    return backbone.health.up;
  },
  publish: (subject, data) => backbone.publish(subject, data),
  subscribe(subject, onMessage) {
    const subscription = backbone.subscribe(subject, ({ data }) => onMessage(data));
    return () => subscription.close();
  },
  onUp: (listener) => backbone.health.onChange(listener),
});

/** Of one process alone. */
export function localBus(): ProcessBus {
  const listeners = new Map<string, Set<(data: Uint8Array) => void>>();
  return {
    up: true,
    publish(subject, data) {
      for (const listener of listeners.get(subject) ?? []) listener(data);
    },
    subscribe(subject, onMessage) {
      const all = listeners.get(subject) ?? new Set();
      listeners.set(subject, all.add(onMessage));
      return () => void all.delete(onMessage);
    },
    onUp: () => () => undefined,
  };
}

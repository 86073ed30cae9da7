// Named listeners with typed arguments.

export class Listeners<Events extends object> {
  readonly #sets = new Map<keyof Events, Set<(...given: never[]) => unknown>>();

  /** Returns how to take it away again. */
  add<K extends keyof Events>(name: K, listener: Events[K] & ((...given: never[]) => unknown)): () => void {
    let set = this.#sets.get(name);
    if (set === undefined) this.#sets.set(name, (set = new Set()));
    const added = set;
    added.add(listener);
    return () => void added.delete(listener);
  }

  /** Those that throw do not hold up the others or the connection; what they threw goes to the environment. How many there are. */
  tell(name: keyof Events, given: unknown): number {
    const listeners = this.of(name) as ((given: unknown) => unknown)[];
    for (const listener of listeners) {
      try {
        listener(given);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    return listeners.length;
  }

  of<K extends keyof Events>(name: K): Events[K][] {
    return [...(this.#sets.get(name) ?? [])] as Events[K][];
  }
}

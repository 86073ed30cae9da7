// Which types of events a subscriber wants. Equal wishes are one filter, so that their subscribers get the same bytes.

/** The type of an event that cannot be shown. */
export const UNREADABLE = "UNREADABLE";

export class EventFilter {
  static readonly all = new EventFilter(undefined);
  /** Equal for equal wishes. */
  readonly key: string;
  readonly #types: ReadonlySet<string> | undefined;

  private constructor(types: readonly string[] | undefined) {
    this.#types = types && new Set(types);
    this.key = types === undefined ? "" : JSON.stringify([...this.#types!].toSorted());
  }

  static of(types: readonly string[] | undefined): EventFilter {
    return types === undefined ? EventFilter.all : new EventFilter(types);
  }

  /** The type is asked for only where it matters. What cannot be read may have been wanted. */
  passes(typeOf: () => string): boolean {
    if (this.#types === undefined) return true;
    const type = typeOf();
    return this.#types.has(type) || type === UNREADABLE;
  }
}

// Ids of intents, or digests of their revisions, of which this process knows something, so that it need not read the record for it: that
// they have ended, or that their fan-out is told. It may know fewer than there are.

const KEPT_MAX = 100_000; // ids of 30 characters: about 10 MB

export class KnownIntents {
  readonly #ids = new Set<string>();

  add(intentId: string): void {
    this.#ids.add(intentId);
    if (this.#ids.size > KEPT_MAX) this.#ids.delete(this.#ids.values().next().value!);
  }

  has(intentId: string): boolean {
    return this.#ids.has(intentId);
  }
}

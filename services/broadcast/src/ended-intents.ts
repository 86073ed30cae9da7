// Ids of intents whose end this process knows of, so that a late ack costs no read. It may know fewer than there are: an answer
// behind the end changes nothing in any case.

const KEPT_MAX = 100_000; // ids of 30 characters: about 10 MB

export class EndedIntents {
  readonly #ids = new Set<string>();

  add(intentId: string): void {
    this.#ids.add(intentId);
    if (this.#ids.size > KEPT_MAX) this.#ids.delete(this.#ids.values().next().value!);
  }

  has(intentId: string): boolean {
    return this.#ids.has(intentId);
  }
}

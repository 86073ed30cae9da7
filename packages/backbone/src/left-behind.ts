// What a process had in hand when it ended comes again in the order in which its acks run out, or in which the server takes it back,
// and new messages may come between (nats-server 2.15). Here it waits until it is all there.

/** Holds messages until those that an earlier process had in hand have come again. */
export class LeftBehind {
  known = false;
  #missing = 0;
  #throughSeq = 0;
  readonly #held: { seq: number; begin: () => void }[] = [];

  get complete(): boolean {
    return this.known && this.#missing <= 0;
  }

  /** So many, none of them behind `throughSeq`. */
  expect(missing: number, throughSeq: number): void {
    this.known = true;
    this.#missing = missing;
    this.#throughSeq = throughSeq;
  }

  add(seq: number, begin: () => void): void {
    this.#held.push({ seq, begin });
    if (seq <= this.#throughSeq) this.#missing -= 1;
  }

  beginAll(): void {
    for (const { begin } of this.#held.toSorted((one, other) => one.seq - other.seq)) begin();
  }
}

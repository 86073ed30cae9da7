// Between a socket that pushes and a consumer that pulls. Says when it is full; whoever fills it stops and comes back when there is room.

export class MessageQueue<T> {
  readonly #max: number;
  #items: T[] = [];
  #head = 0;
  #waiting: (() => void)[] = [];
  #end: { error?: unknown } | undefined;

  constructor(max: number) {
    this.#max = max;
  }

  get full(): boolean {
    return this.#size >= this.#max;
  }

  push(item: T): void {
    if (this.#end !== undefined) return;
    this.#items.push(item);
    this.#wake();
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }

  /** After what is queued the consumer gets the error, or the end. */
  end(error?: unknown): void {
    this.#end ??= error === undefined ? {} : { error };
    this.#wake();
  }

  /** Undefined at the end. */
  async take(): Promise<T | undefined> {
    while (this.#size === 0 && this.#end === undefined) await this.#change();
    if (this.#size > 0) {
      const item = this.#items[this.#head++]!;
      if (this.#head * 2 >= this.#max) this.#compact();
      this.#wake();
      return item;
    }
    if (this.#end !== undefined && "error" in this.#end) throw this.#end.error;
    return undefined;
  }

  /** Resolves once at least half is free. */
  async room(): Promise<void> {
    while (this.#size * 2 > this.#max && this.#end === undefined) await this.#change();
  }

  get #size(): number {
    return this.#items.length - this.#head;
  }

  #compact(): void {
    this.#items = this.#items.slice(this.#head);
    this.#head = 0;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

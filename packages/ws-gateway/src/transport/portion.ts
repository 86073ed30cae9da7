// Frames that are written together, one behind the other. Subscribers of one channel mostly wait for the same ones, so a portion is not a list of
// each socket's own: it is a portion before and one frame more, and whoever adds the same frame to the same portion gets the same one. Its
// bytes are put together once.

export class Portion {
  /** Sum of its frames. */
  readonly bytes: number;
  /** How many frames. */
  readonly count: number;
  readonly #before: Portion | undefined;
  readonly #frame: Buffer | undefined;
  #joined: Buffer | undefined;
  /** The last one that was made of this one. */
  #next: Portion | undefined;

  private constructor(before: Portion | undefined, frame: Buffer | undefined) {
    this.#before = before;
    this.#frame = frame;
    this.bytes = (before?.bytes ?? 0) + (frame?.length ?? 0);
    this.count = before === undefined ? 0 : before.count + 1;
  }

  static empty(): Portion {
    return new Portion(undefined, undefined);
  }

  with(frame: Buffer): Portion {
    const next = this.#next;
    if (next !== undefined && next.#frame === frame) return next;
    return (this.#next = new Portion(this, frame));
  }

  /** Of a portion with at least one frame. */
  joined(): Buffer {
    return (this.#joined ??= this.count === 1 ? this.#frame! : Buffer.concat(Portion.#framesOf(this)));
  }

  /** What was made of it is not looked for any more. */
  forget(): void {
    this.#next = undefined;
  }

  static #framesOf(last: Portion): Buffer[] {
    const frames: Buffer[] = [];
    for (let portion = last; portion.count > 0; portion = portion.#before!) frames.push(portion.#frame!);
    return frames.toReversed();
  }
}

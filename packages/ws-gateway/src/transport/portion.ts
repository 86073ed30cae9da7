// Frames that are written together, one behind the other. Subscribers of one channel mostly wait for the same ones, so a portion is not a list of
// each socket's own: it is a portion before and one frame more, and whoever adds the same frame to the same portion gets the same one. Its
// bytes are put together once.

const LARGE_BYTES = 16 * 1024; // copying more costs more than a piece of its own, and is memory outside the heap that is collected late

export class Portion {
  /** Sum of its frames. */
  readonly bytes: number;
  /** How many frames. */
  readonly count: number;
  readonly #before: Portion | undefined;
  readonly #frame: Buffer | undefined;
  /** Some frame is not worth a copy. */
  readonly #isLarge: boolean;
  #pieces: readonly Buffer[] | undefined;
  /** The last one that was made of this one. */
  #next: Portion | undefined;

  private constructor(before: Portion | undefined, frame: Buffer | undefined) {
    this.#before = before;
    this.#frame = frame;
    this.bytes = (before?.bytes ?? 0) + (frame?.length ?? 0);
    this.count = before === undefined ? 0 : before.count + 1;
    this.#isLarge = (frame?.length ?? 0) >= LARGE_BYTES || (before !== undefined && before.#isLarge);
  }

  static empty(): Portion {
    return new Portion(undefined, undefined);
  }

  with(frame: Buffer): Portion {
    const next = this.#next;
    if (next !== undefined && next.#frame === frame) return next;
    return (this.#next = new Portion(this, frame));
  }

  /** What is to be written, of a portion with at least one frame: all of it joined, but for large frames, as of a replay. */
  pieces(): readonly Buffer[] {
    return (this.#pieces ??= this.#makePieces());
  }

  #makePieces(): readonly Buffer[] {
    if (this.count === 1) return [this.#frame!];
    const frames = Portion.#framesOf(this);
    if (!this.#isLarge) return [Buffer.concat(frames)];
    const pieces: Buffer[] = [];
    let small: Buffer[] = [];
    for (const frame of frames) {
      if (frame.length < LARGE_BYTES) small.push(frame);
      else {
        if (small.length > 0) pieces.push(Buffer.concat(small));
        pieces.push(frame);
        small = [];
      }
    }
    return small.length > 0 ? [...pieces, Buffer.concat(small)] : pieces;
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

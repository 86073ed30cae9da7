// What one caller used of one quota: a sliding window made of slices, of which the oldest counts by the part still inside.
// Pure. What other processes used comes in by learned(), what they should know goes out by unsent(): limiter.ts does that.

export interface LimitPolicy {
  /** In header fields and in keys of Redis. */
  readonly name: string;
  readonly quota: number;
  readonly windowMs: number;
  /** The more, the finer the window slides: between two slices it assumes even use. */
  readonly slices?: number;
}

export interface UnsentSlice {
  readonly slice: number;
  readonly delta: number;
}

export class Meter {
  readonly policy: LimitPolicy;
  readonly #sliceMs: number;
  readonly #length: number; // one more than the window has: the oldest is on its way out
  /** By slice number modulo length. */
  readonly #own: number[];
  readonly #sum: number[];
  readonly #unsent: number[];
  #head = Number.NEGATIVE_INFINITY;

  constructor(policy: LimitPolicy) {
    const { slices = 1 } = policy;
    this.policy = policy;
    this.#sliceMs = policy.windowMs / slices;
    this.#length = slices + 1;
    this.#own = zeros(this.#length);
    this.#sum = zeros(this.#length);
    this.#unsent = zeros(this.#length);
  }

  used(nowMs: number): number {
    this.#roll(nowMs);
    let used = this.#valueOf(this.#head - this.#length + 1) * (1 - this.#elapsed(nowMs));
    for (let slice = this.#head - this.#length + 2; slice <= this.#head; slice++) used += this.#valueOf(slice);
    return used;
  }

  left(nowMs: number): number {
    return Math.max(0, Math.floor(this.policy.quota - this.used(nowMs)));
  }

  /** What costs more than the whole quota needs a window of its own: it could otherwise never pass. */
  hasRoom(nowMs: number, cost: number): boolean {
    return this.used(nowMs) + Math.min(cost, this.policy.quota) <= this.policy.quota;
  }

  /** A negative cost gives back. */
  add(nowMs: number, cost: number): void {
    this.#roll(nowMs);
    const at = this.#indexOf(this.#head);
    this.#own[at]! += cost;
    this.#unsent[at]! += cost;
  }

  /** Until there is room, if nothing is used meanwhile. */
  waitMs(nowMs: number, cost: number): number {
    const room = this.policy.quota - Math.min(cost, this.policy.quota);
    const used = this.used(nowMs);
    let inside = used - this.#valueOf(this.#head - this.#length + 1) * (1 - this.#elapsed(nowMs));
    for (let ahead = 0; ahead < this.#length; ahead++) {
      const leaving = this.#valueOf(this.#head - this.#length + 1 + ahead);
      const from = ahead === 0 ? this.#elapsed(nowMs) : 0;
      if (inside <= room) {
        const at = leaving <= 0 ? from : Math.max(from, 1 - (room - inside) / leaving);
        return Math.ceil((ahead + at - this.#elapsed(nowMs)) * this.#sliceMs);
      }
      inside -= this.#valueOf(this.#head - this.#length + 2 + ahead);
    }
    return Math.ceil((this.#length - this.#elapsed(nowMs)) * this.#sliceMs);
  }

  /** Until all that was used so far is outside the window. */
  resetMs(nowMs: number): number {
    this.#roll(nowMs);
    for (let back = 0; back < this.#length; back++) {
      if (this.#valueOf(this.#head - back) > 0)
        return Math.ceil((this.#length - back - this.#elapsed(nowMs)) * this.#sliceMs);
    }
    return 0;
  }

  /** Numbers of the slices that count now, the current one last. */
  slices(nowMs: number): number[] {
    this.#roll(nowMs);
    return Array.from({ length: this.#length }, (_, back) => this.#head - this.#length + 1 + back);
  }

  /** What the other processes do not know yet; each amount is given out once. */
  takeUnsent(nowMs: number): UnsentSlice[] {
    const taken = this.slices(nowMs)
      .map((slice) => ({ slice, delta: this.#unsent[this.#indexOf(slice)]! }))
      .filter(({ delta }) => delta !== 0);
    for (const { slice, delta } of taken) this.#sum[this.#indexOf(slice)]! += delta; // until learned() says it better
    this.#unsent.fill(0);
    return taken;
  }

  /** What all processes used in a slice. Less than our own after Redis lost its data: then our own counts. */
  learned(slice: number, sum: number): void {
    if (slice > this.#head || slice <= this.#head - this.#length) return;
    this.#sum[this.#indexOf(slice)] = sum;
  }

  #valueOf(slice: number): number {
    const at = this.#indexOf(slice);
    return Math.max(0, this.#own[at]!, this.#sum[at]! + this.#unsent[at]!);
  }

  #elapsed(nowMs: number): number {
    return Math.min(1, Math.max(0, nowMs / this.#sliceMs - this.#head));
  }

  #indexOf(slice: number): number {
    return ((slice % this.#length) + this.#length) % this.#length;
  }

  /** A clock that goes back stays in the newest slice. */
  #roll(nowMs: number): void {
    const head = Math.floor(nowMs / this.#sliceMs);
    if (head <= this.#head) return;
    for (let slice = Math.max(this.#head + 1, head - this.#length + 1); slice <= head; slice++) {
      const at = this.#indexOf(slice);
      this.#own[at] = this.#sum[at] = this.#unsent[at] = 0;
    }
    this.#head = head;
  }
}

const zeros = (length: number): number[] => Array.from({ length }, () => 0);

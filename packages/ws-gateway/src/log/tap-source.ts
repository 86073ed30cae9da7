// A tap as event source (docs/regions.md). A copy can be what the stream itself never is: behind its origin, made again and still
// filling, of an origin that was replaced, or with a hole where the origin had trimmed before the copy came. Each is found before it
// could pass for the whole: what is only late is waited for, what is gone is told as trimmed, another stream as another epoch.

import { type Backbone, readBatch, type StreamHead, streamHead } from "@outcry/backbone";
import { OutcryError } from "@outcry/protocol";
import type { EventSource, SourceHead } from "./event-source.js";
import { natsSource } from "./nats-source.js";

const ORIGIN_LOOK_MS = 1_000; // how long an origin that was replaced may stay unseen, besides the live log's own pace
const ORIGIN_TIMEOUT_MS = 2_000; // a region that is cut off shall not wait long for nothing

const COUNT_TRIES = 20; // each is three round trips

export interface TapSourceDeps {
  readonly backbone: Backbone;
  /** The mirror's name. */
  readonly stream: string;
  /** The tap's name in its live subjects. */
  readonly region: string;
  readonly origin: {
    /** With the domain of the origin, where that is another. */
    readonly backbone: Backbone;
    readonly stream: string;
  };
}

export function tapSource(deps: TapSourceDeps): EventSource {
  return new TapSource(deps);
}

class TapSource implements EventSource {
  readonly #deps: TapSourceDeps;
  readonly #tap: EventSource;
  /** As it was seen last; undefined before. */
  #origin: { readonly epoch: string; readonly createdAt: number; readonly lookedAt: number } | undefined;
  #looking: Promise<void> | undefined;
  /** The newest that was seen under `epoch`: a tap that ends before it is being filled again. */
  #seen = { epoch: "", seq: 0 };
  /** Behind the last hole: from here on nothing is missing. */
  #wholeFrom = 1;
  #holesAt = { created: "", missing: 0 };
  /** The epoch of the origin, while the tap is of an older one. */
  #orphanOf: string | undefined;

  constructor(deps: TapSourceDeps) {
    this.#deps = deps;
    this.#tap = natsSource(deps);
  }

  get up(): boolean {
    return this.#tap.up;
  }

  listen(onMessage: Parameters<EventSource["listen"]>[0]): () => void {
    return this.#tap.listen((message) => {
      if (this.#orphanOf !== undefined) return; // of a stream that is no more
      if (message.seq > this.#seen.seq) this.#seen.seq = message.seq;
      onMessage(message);
    });
  }

  async read(query: Parameters<EventSource["read"]>[0]): ReturnType<EventSource["read"]> {
    if (this.#orphanOf !== undefined) return { messages: [], pending: 0 };
    return this.#tap.read({ ...query, seq: Math.max(query.seq, this.#wholeFrom) });
  }

  async head(): Promise<SourceHead> {
    const head = await streamHead(this.#deps.backbone, this.#deps.stream);
    const { epoch } = head;
    if (epoch === undefined) throw unready("has no epoch");
    if (head.replicas > 1) throw unready(`has ${head.replicas} replicas: one that is behind may answer`);
    if (await this.#isOrphan(epoch)) {
      const { createdAt } = this.#origin!;
      return { epoch: this.#orphanOf!, firstSeq: 1, lastSeq: 0, lastTime: 0, createdAt };
    }
    if (epoch !== this.#seen.epoch) this.#seen = { epoch, seq: 0 };
    if (head.lastSeq < this.#seen.seq && !(await this.#wentBack())) throw unready("is being filled");
    this.#seen.seq = head.lastSeq;
    await this.#findHoles(head);
    return {
      epoch,
      firstSeq: Math.max(head.firstSeq, this.#wholeFrom),
      lastSeq: head.lastSeq,
      lastTime: head.lastTime,
      createdAt: this.#origin?.createdAt ?? 0, // the copy is younger than what it holds
    };
  }

  async newestSeq(): Promise<number> {
    const { origin } = this.#deps;
    return (await streamHead(origin.backbone, origin.stream, ORIGIN_TIMEOUT_MS)).lastSeq;
  }

  onUp(listener: (up: boolean) => void): () => void {
    return this.#tap.onUp(listener);
  }

  /**
   * True when the origin was replaced and the tap is still of the old one: then this is the new stream, of which nothing came yet. While
   * the origin cannot be asked the tap is taken for what it was.
   */
  async #isOrphan(epoch: string): Promise<boolean> {
    const { lookedAt } = this.#origin ?? { lookedAt: Number.NEGATIVE_INFINITY };
    const look = performance.now() - lookedAt > ORIGIN_LOOK_MS ? this.#lookAtOrigin() : undefined;
    if (this.#origin === undefined) await look;
    if (this.#origin !== undefined && this.#origin.epoch !== epoch && !(await this.#isCertain()))
      throw unready("is of another epoch than its origin was, which does not answer now");
    const known = this.#origin?.epoch;
    this.#orphanOf = known === undefined || known === epoch ? undefined : known;
    return this.#orphanOf !== undefined;
  }

  /** What was known of the origin may be older than the tap. */
  async #isCertain(): Promise<boolean> {
    const askedAt = performance.now();
    await this.#looking;
    await this.#lookAtOrigin();
    return this.#origin !== undefined && this.#origin.lookedAt >= askedAt;
  }

  /** One at a time. What does not answer leaves what was known. */
  #lookAtOrigin(): Promise<void> {
    const { backbone, stream } = this.#deps.origin;
    this.#looking ??= streamHead(backbone, stream, ORIGIN_TIMEOUT_MS)
      .then(
        ({ epoch, created }) => {
          if (epoch !== undefined)
            this.#origin = { epoch, createdAt: Date.parse(created), lookedAt: performance.now() };
        },
        () => undefined, // cut off: the tap goes on with what it has
      )
      .finally(() => {
        this.#looking = undefined;
      });
    return this.#looking;
  }

  /** Whether the origin itself ends before what was seen: then it was put back to an older state, and the tap is right. */
  async #wentBack(): Promise<boolean> {
    return (await this.newestSeq()) < this.#seen.seq;
  }

  /** A mirror that was away while its origin was trimmed goes on behind what it never got. */
  async #findHoles({ created, firstSeq, lastSeq, messages }: StreamHead): Promise<void> {
    const missing = lastSeq === 0 ? 0 : lastSeq - firstSeq + 1 - messages;
    if (missing === 0) this.#wholeFrom = 1;
    else if (created !== this.#holesAt.created || missing !== this.#holesAt.missing)
      this.#wholeFrom = await this.#firstOfWholeEnd(firstSeq, lastSeq);
    this.#holesAt = { created, missing };
  }

  /** The lowest sequence from which on, up to `lastSeq`, nothing is missing. */
  async #firstOfWholeEnd(firstSeq: number, lastSeq: number): Promise<number> {
    let low = firstSeq;
    let high = lastSeq + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((await this.#countBetween(middle, lastSeq)) === lastSeq - middle + 1) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Undefined when new ones came with every try: then it is not known, and not called whole. */
  async #countBetween(firstSeq: number, lastSeq: number): Promise<number | undefined> {
    for (let tries = 0; tries < COUNT_TRIES; tries++) {
      const before = await this.#countFrom(lastSeq + 1);
      const count = await this.#countFrom(firstSeq);
      if ((await this.#countFrom(lastSeq + 1)) === before) return count - before;
    }
    return undefined;
  }

  async #countFrom(seq: number): Promise<number> {
    const { messages, pending } = await readBatch(this.#deps.backbone, this.#deps.stream, { seq, batch: 1 });
    return messages.length + pending;
  }
}

const unready = (what: string): OutcryError =>
  new OutcryError("dependency_unavailable", `the tap of the events ${what}`);

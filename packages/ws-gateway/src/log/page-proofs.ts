// Whether a page that was read is whole: its start may have been trimmed, which a read jumps over silently, and a stream that was made
// anew answers with its own sequences. Two reads answer that for all pages that wait: what is behind the first of them is there, too, and
// if the head that was known before the first of these pages was read is still in the stream, none of them was read from another one.

import { OutcryError } from "@outcry/protocol";
import type { GatewayLimits } from "../limits.js";
import type { EventSource, SourceMessage } from "./event-source.js";
import type { LiveLog } from "./live-log.js";

export interface PageProofsDeps {
  readonly source: EventSource;
  readonly liveLog: LiveLog;
  readonly limits: GatewayLimits;
}

/** What was heard before a page was read. A head of later may be of a stream that was made anew meanwhile and has caught up. */
export interface HeardHead {
  readonly order: number;
  readonly generation: number;
  readonly seq: number;
  readonly time: number;
}

interface Waiting {
  readonly seq: number;
  readonly head: HeardHead;
  readonly resolve: (isThere: boolean) => void;
  readonly reject: (error: unknown) => void;
}

export class PageProofs {
  readonly #deps: PageProofsDeps;
  #waiting: Waiting[] = [];
  #running = false;
  #order = 0;

  constructor(deps: PageProofsDeps) {
    this.#deps = deps;
  }

  /** To be asked before the page is read. */
  heardHead(): HeardHead {
    const { generation, last: seq, lastTime: time } = this.#deps.liveLog;
    return { order: this.#order++, generation, seq, time };
  }

  /** By reads that begin after the call: false when `seq` is not there any more. Rejects when this is not the stream that was heard. */
  isThere(seq: number, head: HeardHead): Promise<boolean> {
    const answer = new Promise<boolean>((resolve, reject) => this.#waiting.push({ seq, head, resolve, reject }));
    if (!this.#running) void this.#run();
    return answer;
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      try {
        await this.#prove(waiting);
      } catch (error) {
        for (const { reject } of waiting) reject(error);
      }
    }
    this.#running = false;
  }

  async #prove(waiting: readonly Waiting[]): Promise<void> {
    const { liveLog } = this.#deps;
    const known = waiting.filter(({ head }) => head.generation === liveLog.generation);
    for (const { head, reject } of waiting) if (head.generation !== liveLog.generation) reject(anotherStream());
    if (known.length === 0) return;
    const { head } = known.reduce((one, other) => (one.head.order < other.head.order ? one : other));
    const lowest = Math.min(...known.map(({ seq }) => seq));
    const first = await this.#messageAt(lowest);
    const last = await this.#messageAt(head.seq); // behind it: what was read before was of this stream, too
    if (last?.time !== head.time) {
      liveLog.check();
      throw anotherStream();
    }
    for (const each of known) {
      if (first !== undefined) each.resolve(true);
      else if (each.seq === lowest) each.resolve(false);
      else this.#waiting.push(each); // the next round knows
    }
  }

  async #messageAt(seq: number): Promise<SourceMessage | undefined> {
    const { source, limits } = this.#deps;
    const { messages } = await source.read({ seq, batch: 1, bytesMax: limits.replayBytesMax });
    return messages[0]?.seq === seq ? messages[0] : undefined;
  }
}

const anotherStream = (): OutcryError =>
  new OutcryError("dependency_unavailable", "the stream is not the one that was heard");

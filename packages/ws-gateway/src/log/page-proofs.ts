// Whether a page that was read is whole: its start may have been trimmed, which a read jumps over silently, and a stream that was made
// anew answers with its own sequences. One look at the stream, begun behind the page, answers both, for all pages that wait.

import { OutcryError } from "@outcry/protocol";
import type { EventSource } from "./event-source.js";
import type { LiveLog } from "./live-log.js";

export interface PageProofsDeps {
  readonly source: Pick<EventSource, "head">;
  readonly liveLog: LiveLog;
}

/** What was heard before a page was read. A head of later may be of a stream that was made anew meanwhile and has caught up. */
export interface HeardHead {
  readonly epoch: string;
  readonly generation: number;
  readonly seq: number;
  readonly time: number;
}

interface Waiting {
  readonly seq: number;
  readonly heard: HeardHead;
  readonly resolve: (isThere: boolean) => void;
  readonly reject: (error: unknown) => void;
}

export class PageProofs {
  readonly #deps: PageProofsDeps;
  #waiting: Waiting[] = [];
  #running = false;

  constructor(deps: PageProofsDeps) {
    this.#deps = deps;
  }

  /** To be asked before the page is read. */
  heardHead(): HeardHead {
    const { epoch, generation, last: seq, lastTime: time } = this.#deps.liveLog;
    return { epoch, generation, seq, time };
  }

  /** By a look that begins after the call: false when `seq` is not there any more. Rejects when this is not the stream that was heard. */
  isThere(seq: number, heard: HeardHead): Promise<boolean> {
    const answer = new Promise<boolean>((resolve, reject) => this.#waiting.push({ seq, heard, resolve, reject }));
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
    const { liveLog, source } = this.#deps;
    const { epoch, firstSeq, lastSeq } = await source.head();
    for (const { seq, heard, resolve, reject } of waiting) {
      // One that begins behind what was heard was trimmed further than this process has come, which it must tell first.
      const isSame = heard.epoch === epoch && heard.seq <= lastSeq && firstSeq <= heard.seq + 1;
      if (isSame && heard.generation === liveLog.generation) resolve(firstSeq <= seq);
      else reject(anotherStream());
      if (!isSame) liveLog.check();
    }
  }
}

const anotherStream = (): OutcryError =>
  new OutcryError("dependency_unavailable", "the stream is not the one that was heard");

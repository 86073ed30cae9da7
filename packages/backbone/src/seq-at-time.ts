// Where in a stream a moment lies. Times in a stream never go back, so halving finds it in about 20 reads.

import type { Backbone } from "./connect.js";
import { readBatch, streamHead } from "./read.js";

/** The lowest sequence whose message was stored at or after `ms`; one past the last when there is none. */
export async function seqAtTime(backbone: Backbone, stream: string, ms: number): Promise<number> {
  const head = await streamHead(backbone, stream);
  let low = head.firstSeq;
  let high = head.lastSeq + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const [next] = (await readBatch(backbone, stream, { seq: middle, batch: 1 })).messages;
    if (next === undefined || next.time >= ms) high = middle;
    else low = next.seq + 1;
  }
  return low;
}

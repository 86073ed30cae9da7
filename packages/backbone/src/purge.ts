// Removes the oldest part of a stream by sequence. Sequences of what stays do not change.

import type { Backbone } from "./connect.js";
import { askJetStream, refusal } from "./jetstream.js";

/** Everything below `seq` goes; returns how many messages that were. */
export async function purgeBelow(backbone: Backbone, stream: string, seq: number): Promise<number> {
  const answer = await askJetStream<{ purged: number }>(backbone, `STREAM.PURGE.${stream}`, { seq });
  if (answer.kind === "refused") throw refusal(answer.error, `purging ${stream}`);
  return answer.value.purged;
}

// Whether a stream holds more, as its leader knows it. Direct Get may be answered by a stale replica: that it found nothing
// proves nothing.

import type { Backbone } from "./connect.js";
import { JS, askJetStream, refusal } from "./jetstream.js";

/** The first sequence from `seq` on whose subject matches; undefined when the leader has none. */
export async function nextSeqOnLeader(
  backbone: Backbone,
  stream: string,
  query: { readonly seq: number; readonly filter: string },
): Promise<number | undefined> {
  const body = { seq: Math.max(1, query.seq), next_by_subj: query.filter };
  const answer = await askJetStream<{ message: { seq: number } }>(backbone, `STREAM.MSG.GET.${stream}`, body);
  if (answer.kind === "ok") return answer.value.message.seq;
  if (answer.error.err_code === JS.noMessageFound) return undefined;
  throw refusal(answer.error, `reading ${stream}`);
}

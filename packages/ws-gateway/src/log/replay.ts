// One page of a channel from the record, delivered only when it is proven whole: batched Direct Get with the channel's filter,
// then a second look, because a trimmed start jumps silently and a stream made anew answers with its own sequences.

import { OutcryError } from "@outcry/protocol";
import type { Position } from "../channels/cursor.js";
import type { EventSource, SourceMessage } from "./event-source.js";
import type { Gate } from "./gate.js";
import type { GatewayLimits } from "../limits.js";
import type { LiveLog } from "./live-log.js";

export interface ReplayDeps {
  readonly source: EventSource;
  readonly liveLog: LiveLog;
  readonly reads: Gate;
  readonly limits: GatewayLimits;
}

export type ReplayPage =
  /** Every event of the channel behind the position, up to `through`. */
  | { readonly kind: "whole"; readonly events: readonly SourceMessage[]; readonly through: Position }
  /** Events behind the position are no longer there. */
  | { readonly kind: "trimmed" };

/** `position` is before the live log's head. Rejects with a temporary error when the record cannot be read. */
export function readPage(deps: ReplayDeps, filter: string, position: Position): Promise<ReplayPage> {
  const { source, liveLog, reads, limits } = deps;
  return reads.run(async () => {
    const head = { seq: liveLog.last, time: liveLog.lastTime };
    const seq = position.seq + 1;
    const page = await source.read({ seq, filter, batch: limits.replayMessages, bytesMax: limits.replayBytesMax });
    const [first, last] = await Promise.all([messageAt(deps, seq), messageAt(deps, head.seq)]);
    if (first === undefined) return { kind: "trimmed" };
    if (last?.time !== head.time) {
      liveLog.check();
      throw new OutcryError("dependency_unavailable", "the stream is not the one that was heard");
    }
    const events = page.messages.filter((message) => message.seq <= head.seq);
    const end = events.at(-1);
    // The source is at least as new as what was heard from it: no more matches means none up to the head.
    const ended = page.pending === 0 || events.length < page.messages.length || end === undefined;
    return { kind: "whole", events, through: ended ? head : { seq: end.seq, time: end.time } };
  });
}

async function messageAt({ source, limits }: ReplayDeps, seq: number): Promise<SourceMessage | undefined> {
  const { messages } = await source.read({ seq, batch: 1, bytesMax: limits.replayBytesMax });
  return messages[0]?.seq === seq ? messages[0] : undefined;
}

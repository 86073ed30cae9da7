// Where streams lie in a cluster, and moving a leader away, by plain requests.

import type { Backbone } from "@outcry/backbone";
import { eventually, settled } from "./region-world.js";

export interface StreamPlace {
  /** Undefined during an election. */
  readonly leader: string | undefined;
  readonly followers: readonly string[];
  readonly lastSeq: number;
}

/** Undefined when nobody can say. */
export async function placeOf(backbone: Backbone, stream: string): Promise<StreamPlace | undefined> {
  const reply = await settled(
    backbone.request(`$JS.API.STREAM.INFO.${stream}`, new Uint8Array(0), { timeoutMs: 1_000 }),
  );
  if (reply === undefined) return undefined;
  const { cluster, state } = JSON.parse(Buffer.from(reply.data).toString()) as {
    cluster?: { leader?: string; replicas?: { name: string }[] };
    state?: { last_seq: number };
  };
  if (cluster === undefined || state === undefined) return undefined;
  return {
    leader: cluster.leader,
    followers: (cluster.replicas ?? []).map(({ name }) => name),
    lastSeq: state.last_seq,
  };
}

/** Until another server than `server` leads the stream; the name of that one. */
export async function leadAwayFrom(backbone: Backbone, stream: string, server: string): Promise<string> {
  let leader: string | undefined;
  await eventually(async () => {
    leader = (await placeOf(backbone, stream))?.leader;
    if (leader === server)
      await settled(backbone.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, new Uint8Array(0)));
    return leader !== undefined && leader !== server;
  }, 30_000);
  return leader!;
}

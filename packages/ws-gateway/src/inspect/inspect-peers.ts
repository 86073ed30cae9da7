// What a process tells operators of its connections. Never a credential: a principal is named by what it is.

import { type ConnectionSummary, type ConnectionView, type SubscriptionView, toRfc3339 } from "@outcry/protocol";
import type { LiveLog } from "../log/live-log.js";
import { CLOSE } from "../transport/close-codes.js";
import type { Peer } from "../transport/peer.js";
import type { ConnectionFilter, InspectAnswer, InspectQuestion } from "./inspect-wire.js";

/** What a peer alone knows of itself; times are epoch ms. */
export interface PeerState {
  readonly protocol: string;
  readonly openedAt: number;
  readonly aliveAt: number;
  readonly queueFrames: number;
  readonly subscriptions: readonly SubscriptionView[];
}

export interface InspectedProcess {
  readonly name: string;
  readonly peers: ReadonlyMap<string, Peer>;
  readonly liveLog: Pick<LiveLog, "last">;
}

export function answerInspection(process: InspectedProcess, question: InspectQuestion): InspectAnswer {
  if (question.kind === "list") return listPeers(process, question);
  const { kind } = question;
  const peer = process.peers.get(question.id);
  if (peer === undefined) return { process: process.name, kind };
  const connection = viewOf(process, peer);
  if (kind === "kick") peer.end(CLOSE.kicked);
  return { process: process.name, kind, connection };
}

/** Ids are ordered by time. */
function listPeers(process: InspectedProcess, question: InspectQuestion & { kind: "list" }): InspectAnswer {
  const { filter, before, limit } = question;
  const matching = [...process.peers.values()]
    .filter((peer) => (before === undefined || peer.id < before) && fits(peer, filter))
    .sort((one, other) => (one.id < other.id ? 1 : -1));
  return {
    process: process.name,
    kind: "list",
    matched: matching.length,
    connections: matching.slice(0, limit).map((peer) => summaryOf(process, peer)),
  };
}

function fits(peer: Peer, { role, channel, principal }: ConnectionFilter): boolean {
  return (
    (role === undefined || roleOf(peer) === role) &&
    (principal === undefined || peer.principal?.id === principal) &&
    (channel === undefined || peer.channels.includes(channel))
  );
}

const roleOf = ({ principal }: Peer): string => principal?.role ?? "anonymous";

function summaryOf({ name }: InspectedProcess, peer: Peer): ConnectionSummary {
  const { protocol, openedAt, aliveAt, queueFrames, subscriptions } = peer.inspect();
  return {
    id: peer.id,
    process: name,
    protocol,
    role: roleOf(peer),
    ...(peer.principal === undefined ? {} : { principal: peer.principal.id }),
    opened: toRfc3339(openedAt),
    last_alive: toRfc3339(aliveAt),
    channels: subscriptions.length,
    queue: { bytes: peer.queueBytes, frames: queueFrames },
  };
}

function viewOf(process: InspectedProcess, peer: Peer): ConnectionView {
  return { ...summaryOf(process, peer), head: process.liveLog.last, subscriptions: [...peer.inspect().subscriptions] };
}

// An intent's history folded into where it stands: pure, over the events of its topic in order.
// Used to answer readers, to check before a dead letter, and to rebuild Redis from the record.

import {
  DELIVERY_STATES,
  type DeliveryState,
  type Event,
  type EventData,
  END_EVENTS,
  type EventType,
  type PackedDelivery,
  canMove,
  revisionOf,
} from "@outcry/protocol";
import { stateOfAnswer } from "./intent-record.js";

export interface FoldedDelivery extends PackedDelivery {
  reason?: string;
  respondedAt?: string;
}

export interface FoldedIntent {
  created: boolean;
  /** The newest; all that follows is about it alone. */
  revision: number;
  broadcasted: boolean;
  /** Highest attempt that was begun by the service itself; 0 before the first. An operator's replay is none of these. */
  attempt: number;
  deliveries: Map<string, FoldedDelivery>;
  quotes: EventData<"QUOTE_RECEIVED">[];
  ended: boolean;
}

const END_TYPES = new Set<EventType>(Object.values(END_EVENTS));

/** Row = first answer per node and kind, then quotes, then dead letters; attempts = the highest recorded. */
export function foldIntent(targets: readonly string[], events: Iterable<Event>): FoldedIntent {
  const folded: FoldedIntent = {
    created: false,
    revision: 0,
    broadcasted: false,
    attempt: 0,
    deliveries: new Map(targets.map((node) => [node, { state: "pending", attempts: 0 }])),
    quotes: [],
    ended: false,
  };
  for (const event of events) foldEvent(folded, event);
  return folded;
}

function foldEvent(folded: FoldedIntent, event: Event): void {
  if (END_TYPES.has(event.type)) folded.ended = true;
  if (event.type === "INTENT_AMENDED") return amend(folded, (event.data as EventData<"INTENT_AMENDED">).revision);
  // Told by somebody who had not heard of the amendment yet.
  if (revisionOf(event.data as { revision?: number }) < folded.revision) return;
  switch (event.type) {
    case "INTENT_CREATED":
      folded.created = true;
      return;
    case "INTENT_BROADCASTED":
      folded.broadcasted = true;
      return beginAttempt(folded, [...folded.deliveries.keys()], 1);
    case "DELIVERY_RETRYING": {
      const { node_ids, attempt } = event.data as EventData<"DELIVERY_RETRYING">;
      return beginAttempt(folded, node_ids, attempt);
    }
    case "DELIVERY_REPLAYED": {
      const { node_ids, attempt } = event.data as EventData<"DELIVERY_REPLAYED">;
      return countAttempt(folded, node_ids, attempt);
    }
    case "NODE_RESPONDED": {
      if (folded.ended) return; // an answer after the end changes nothing
      for (const answer of (event.data as EventData<"NODE_RESPONDED">).responses) {
        move(folded, answer.node_id, stateOfAnswer[answer.status], answer.received_at, answer.reason);
      }
      return;
    }
    case "QUOTE_RECEIVED": {
      folded.quotes.push(event.data as EventData<"QUOTE_RECEIVED">);
      return move(folded, (event.data as EventData<"QUOTE_RECEIVED">).node_id, "quoted", event.time);
    }
    case "DELIVERY_DEAD_LETTERED": {
      const { node_ids, cause } = event.data as EventData<"DELIVERY_DEAD_LETTERED">;
      for (const node of node_ids) move(folded, node, "dead", event.time, cause);
      return;
    }
    default:
      return; // ends are noted above; other topics' events and later types say nothing about deliveries
  }
}

/** Everything begins anew at the same nodes. */
function amend(folded: FoldedIntent, revision: number): void {
  if (revision <= folded.revision) return;
  const nodes = [...folded.deliveries.keys()];
  folded.revision = revision;
  folded.broadcasted = false;
  folded.attempt = 0;
  folded.quotes = [];
  folded.deliveries = new Map(nodes.map((node) => [node, { state: "pending", attempts: 0 }]));
}

function beginAttempt(folded: FoldedIntent, nodes: readonly string[], attempt: number): void {
  folded.attempt = Math.max(folded.attempt, attempt);
  countAttempt(folded, nodes, attempt);
}

function countAttempt(folded: FoldedIntent, nodes: readonly string[], attempt: number): void {
  for (const node of nodes) {
    const delivery = folded.deliveries.get(node);
    if (delivery !== undefined) delivery.attempts = Math.max(delivery.attempts, attempt);
  }
}

function move(folded: FoldedIntent, node: string, to: DeliveryState, at: string, reason?: string): void {
  const delivery = folded.deliveries.get(node);
  if (delivery === undefined || !canMove(delivery.state, to)) return;
  delivery.state = to;
  // Both belong to the state: a node that came back no longer times out, and a dead one never responded.
  delete delivery.reason;
  delete delivery.respondedAt;
  if (reason !== undefined) delivery.reason = reason;
  if (to !== "dead") delivery.respondedAt = at;
}

/** How many deliveries stand in each state. */
export function countDeliveries(deliveries: Iterable<PackedDelivery>): Record<DeliveryState, number> {
  const counts = Object.fromEntries(DELIVERY_STATES.map((state) => [state, 0])) as Record<DeliveryState, number>;
  for (const { state } of deliveries) counts[state] += 1;
  return counts;
}

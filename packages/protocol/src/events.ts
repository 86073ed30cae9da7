// The one event table: names, versions, schemas, and whether an event may repeat.
// The ten-event backbone of the a2a-Market contract keeps its names and order.

import Type, { type TSchema } from "typebox";
import { DELIVERY_STATES } from "./delivery.js";
import { Digest, Timestamp } from "./envelope.js";
import { IntentId, NodeId, QuoteId, ReplayId } from "./id-schemas.js";
import { LIMITS } from "./limits.js";
import { Money } from "./money.js";
import { Revision } from "./revision.js";

const Count = Type.Integer({ minimum: 0 });
const Counts = Type.Object(
  Object.fromEntries(DELIVERY_STATES.map((state) => [state, Count])) as Record<
    (typeof DELIVERY_STATES)[number],
    typeof Count
  >,
);

/** One answer of one node. Identified by (intent, node, kind); readers fold by it. */
const NodeResponse = Type.Object({
  node_id: NodeId,
  kind: Type.Union([Type.Literal("ack"), Type.Literal("quote")]),
  status: Type.Enum(["accepted", "declined", "rejected", "quoted"]),
  reason: Type.Optional(Type.String()),
  attempt: Type.Optional(Type.Integer({ minimum: 1 })),
  quote_id: Type.Optional(QuoteId),
  /** Detached JWS over the ack's canonical bytes, where signed acks are taken: docs/protocol.md says how to verify it later. */
  signature: Type.Optional(Type.String({ maxLength: LIMITS.ackSignatureCharsMax })),
  received_at: Timestamp,
});

export const ScoreTerm = Type.Object({
  term: Type.String(),
  value: Type.Number(),
  weight: Type.Integer(),
  points: Type.Integer(),
});
export const Explanation = Type.Object({ method: Type.String(), terms: Type.Array(ScoreTerm), score: Type.Integer() });

const End = Type.Object({
  intent_id: IntentId,
  counts: Counts,
  reason: Type.Optional(Type.String()),
});

interface EventRow {
  readonly schemaVersion: number;
  readonly meaning: string;
  /** True when readers must fold repetitions; all others are appended exactly once. */
  readonly repeats: boolean;
  readonly data: TSchema;
}

export const EVENTS = {
  INTENT_CREATED: {
    schemaVersion: 1,
    meaning: "The intent is recorded; nothing has been sent to a node yet.",
    repeats: false,
    data: Type.Object({
      intent_id: IntentId,
      request_digest: Digest,
      targets: Count,
      quote_deadline: Timestamp,
      line_items: Count,
    }),
  },
  INTENT_AMENDED: {
    schemaVersion: 1,
    meaning: "The intent was changed; all its deliveries begin anew, and what answered it before counts no more.",
    repeats: false,
    data: Type.Object({
      intent_id: IntentId,
      revision: Revision,
      request_digest: Digest,
      supersedes: Digest,
      targets: Count,
      quote_deadline: Timestamp,
      line_items: Count,
    }),
  },
  INTENT_BROADCASTED: {
    schemaVersion: 1,
    meaning: "Fan-out is complete.",
    repeats: false,
    data: Type.Object({
      intent_id: IntentId,
      revision: Type.Optional(Revision),
      attempt: Type.Integer({ minimum: 1 }),
      targets: Count,
      dispatched: Count,
    }),
  },
  NODE_RESPONDED: {
    schemaVersion: 1,
    meaning: "Nodes acknowledged or quoted; all answers of one window.",
    repeats: true,
    data: Type.Object({
      intent_id: IntentId,
      revision: Type.Optional(Revision),
      responses: Type.Array(NodeResponse, { minItems: 1, maxItems: LIMITS.responsesPerEventMax }),
    }),
  },
  QUOTE_RECEIVED: {
    schemaVersion: 1,
    meaning: "A quote was verified and is ranked.",
    repeats: false,
    data: Type.Object({
      intent_id: IntentId,
      revision: Type.Optional(Revision),
      quote_id: QuoteId,
      node_id: NodeId,
      quote_type: Type.Union([Type.Literal("firm"), Type.Literal("indicative")]),
      total: Money,
      valid_until: Timestamp,
      digest: Digest,
      ordinal: Count,
      supersedes: Type.Optional(QuoteId),
      explanation: Explanation,
    }),
  },
  QUOTE_REFUSED: {
    schemaVersion: 1,
    meaning: "A stored quote does not count; on the node's own topic.",
    repeats: false,
    data: Type.Object({
      intent_id: IntentId,
      quote_id: QuoteId,
      node_id: NodeId,
      code: Type.String(),
      detail: Type.String(),
    }),
  },
  DELIVERY_RETRYING: {
    schemaVersion: 1,
    meaning: "The intent is being sent again to nodes that have not answered.",
    repeats: false,
    data: Type.Object({
      intent_id: IntentId,
      revision: Type.Optional(Revision),
      attempt: Type.Integer({ minimum: 2 }),
      node_ids: Type.Array(NodeId),
    }),
  },
  DELIVERY_DEAD_LETTERED: {
    schemaVersion: 1,
    meaning: "Nodes did not answer within the allowed attempts.",
    repeats: false,
    data: Type.Object({
      intent_id: IntentId,
      revision: Type.Optional(Revision),
      cause: Type.String(),
      attempts: Type.Integer({ minimum: 1 }),
      node_ids: Type.Array(NodeId),
    }),
  },
  DELIVERY_RECOVERED: {
    schemaVersion: 1,
    meaning: "Nodes whose deliveries were dead have answered before the end.",
    repeats: false,
    data: Type.Object({
      intent_id: IntentId,
      node_ids: Type.Array(NodeId),
      by: Type.Union([Type.Literal("ack"), Type.Literal("quote")]),
      attempts: Type.Integer({ minimum: 1 }),
    }),
  },
  DELIVERY_REPLAYED: {
    schemaVersion: 1,
    meaning: "An operator's replay is sending the intent once more to nodes whose deliveries are dead.",
    repeats: false,
    data: Type.Object({
      intent_id: IntentId,
      revision: Type.Optional(Revision),
      node_ids: Type.Array(NodeId),
      attempt: Type.Integer({ minimum: 2 }),
      replay_id: ReplayId,
      dead_letter_ids: Type.Array(Type.String()),
    }),
  },
  INTENT_CLOSED: {
    schemaVersion: 1,
    meaning: "All nodes have answered, or the backend closed it.",
    repeats: false,
    data: End,
  },
  INTENT_EXPIRED: { schemaVersion: 1, meaning: "The quote deadline passed.", repeats: false, data: End },
  INTENT_CANCELLED: { schemaVersion: 1, meaning: "The backend cancelled it.", repeats: false, data: End },
} as const satisfies Record<string, EventRow>;

export type EventType = keyof typeof EVENTS;

/** The contract's ten-event backbone in order (a2a-supermarket); those not yet in EVENTS belong to the deals that follow a quote. */
export const EVENT_BACKBONE = [
  "INTENT_CREATED",
  "INTENT_BROADCASTED",
  "NODE_RESPONDED",
  "QUOTE_RECEIVED",
  "NEGOTIATION_STARTED",
  "RISK_FLAGGED",
  "ORDER_CREATED",
  "PAYMENT_SUCCEEDED",
  "ORDER_COMPLETED",
  "REPUTATION_UPDATED",
] as const;

/** What others than the service may publish: the rest of the backbone, which nothing of the service writes. */
export const PUBLISHABLE_TYPES: readonly string[] = EVENT_BACKBONE.filter((type) => !(type in EVENTS));

export const END_EVENTS = {
  closed: "INTENT_CLOSED",
  expired: "INTENT_EXPIRED",
  cancelled: "INTENT_CANCELLED",
} as const;
export type Outcome = keyof typeof END_EVENTS;

// Answers to "why": why a node was or was not asked, and what happened to an intent, step by step.

import Type, { type Static } from "typebox";
import { DELIVERY_STATES } from "./delivery.js";
import { Timestamp } from "./envelope.js";
import { IntentId, NodeId, QuoteId } from "./id-schemas.js";
import { Revision } from "./revision.js";

const FilterVerdict = Type.Object({
  filter: Type.String(),
  passed: Type.Boolean(),
  wanted: Type.String({ description: "what the filter asked of a node" }),
  found: Type.String({ description: "what the node had" }),
});

const Verdict = Type.Object({
  eligible: Type.Boolean(),
  registry_revision: Type.Integer(),
  filters: Type.Array(FilterVerdict, {
    description: "every filter that applied, in order; the first that failed decided",
  }),
});
export type SelectionVerdict = Static<typeof Verdict>;

export const ExplainView = Type.Object({
  intent_id: IntentId,
  node_id: NodeId,
  selected: Type.Boolean({ description: "the intent was addressed to this node" }),
  registry_revision: Type.Integer({ description: "of the selection" }),
  reason: Type.String({ description: "in one sentence" }),
  at_selection: Type.Union([Type.Null(), Verdict], {
    description: "with the registry as it was; null where it did not know the node, or no longer knows how it was",
  }),
  now: Type.Union([Type.Null(), Verdict], { description: "with the registry as it is; null for a node that is gone" }),
});
export type ExplainView = Static<typeof ExplainView>;

const Milliseconds = Type.Integer({ description: "milliseconds after the intent was recorded" });

const Stage = Type.Object({
  stage: Type.String({ description: "RECORDED, then the type of each event but NODE_RESPONDED" }),
  time: Timestamp,
  after_ms: Milliseconds,
  revision: Type.Optional(Revision),
  attempt: Type.Optional(Type.Integer()),
  nodes: Type.Optional(Type.Integer({ description: "how many it was about" })),
  node_id: Type.Optional(NodeId),
  quote_id: Type.Optional(QuoteId),
  detail: Type.Optional(Type.String()),
});
export type TimelineStage = Static<typeof Stage>;

const Sent = Type.Object({
  revision: Type.Optional(Revision),
  attempt: Type.Integer({ minimum: 1 }),
  time: Type.Optional(Timestamp),
  after_ms: Type.Optional(Milliseconds),
});
const Answer = Type.Object({
  revision: Type.Optional(Revision),
  kind: Type.Union([Type.Literal("ack"), Type.Literal("quote")]),
  status: Type.String(),
  reason: Type.Optional(Type.String()),
  attempt: Type.Optional(Type.Integer()),
  quote_id: Type.Optional(QuoteId),
  time: Timestamp,
  after_ms: Milliseconds,
});
const TimelineQuote = Type.Object({
  revision: Type.Optional(Revision),
  quote_id: QuoteId,
  stored_at: Timestamp,
  after_ms: Milliseconds,
  outcome: Type.Union([Type.Literal("received"), Type.Literal("refused"), Type.Literal("processing")]),
  code: Type.Optional(Type.String()),
});

const TimelineNode = Type.Object({
  node_id: NodeId,
  state: Type.Enum(DELIVERY_STATES),
  attempts: Type.Array(Sent),
  answers: Type.Array(Answer, { description: "the first of each kind and status" }),
  quotes: Type.Array(TimelineQuote),
});
export type TimelineNode = Static<typeof TimelineNode>;

export const TimelineView = Type.Object({
  intent_id: IntentId,
  status: Type.String(),
  trace_id: Type.String(),
  request_id: Type.String(),
  recorded_at: Timestamp,
  quote_deadline: Timestamp,
  stages: Type.Array(Stage),
  nodes: Type.Array(TimelineNode, { description: "a page of the targets, in their order" }),
  has_more: Type.Boolean(),
  next_cursor: Type.Optional(Type.String()),
});
export type TimelineView = Static<typeof TimelineView>;

// Dead letters and their replays in the HTTP API (docs/dead-letters.md).

import Type, { type Static } from "typebox";
import { Timestamp } from "./envelope.js";
import { IntentId, NodeId, ReplayId, WebhookId } from "./id-schemas.js";
import { LIMITS } from "./limits.js";

const Count = Type.Integer({ minimum: 0 });
const Reason = Type.String({ minLength: 1, maxLength: 500 });

export const LETTER_STATUSES = ["open", "discarded", "replayed", "recovered"] as const;
export type LetterStatus = (typeof LETTER_STATUSES)[number];

const LetterId = Type.String({ minLength: 1, maxLength: 128, description: "`id` of a dead letter" });
const LetterKind = Type.Union([Type.Literal("delivery"), Type.Literal("message"), Type.Literal("webhook")], {
  description: "webhook: an event that a receiver did not take; sent again by the webhook's recover",
});
const Status = Type.Enum(LETTER_STATUSES, {
  description:
    "open; discarded by an operator; replayed, no answer since; recovered: the node answered, or the message was handled",
});

export const DeadLetter = Type.Object({
  id: Type.String(),
  kind: LetterKind,
  status: Status,
  cause: Type.String(),
  attempts: Type.Integer(),
  digest: Type.String(),
  version: Type.String({ description: "protocol version that the message was written in, or `unknown`" }),
  time: Timestamp,
  intent_id: Type.Optional(IntentId),
  node_id: Type.Optional(NodeId),
  webhook_id: Type.Optional(WebhookId),
  source: Type.Optional(Type.Object({ stream: Type.String(), sequence: Type.Integer(), subject: Type.String() })),
});
export type DeadLetter = Static<typeof DeadLetter>;

/** One thing that happened to a delivery. */
const TimelineEntry = Type.Object({
  time: Timestamp,
  event: Type.String(),
  attempt: Type.Optional(Type.Integer({ minimum: 1 })),
  detail: Type.Optional(Type.String()),
  replay_id: Type.Optional(ReplayId),
});
export type TimelineEntry = Static<typeof TimelineEntry>;

export const Discard = Type.Object({ by: Type.String(), reason: Type.String(), time: Timestamp });
export type Discard = Static<typeof Discard>;

/** What the latest replay did with a letter. */
export const LetterReplay = Type.Object({
  replay_id: ReplayId,
  time: Timestamp,
  outcome: Type.Enum(["sent", "begun", "handled", "failed"]),
  attempt: Type.Optional(Type.Integer({ minimum: 1 })),
  cause: Type.Optional(Type.String({ description: "why it failed again" })),
});
export type LetterReplay = Static<typeof LetterReplay>;

export const Recovery = Type.Object({
  by: Type.Union([Type.Literal("ack"), Type.Literal("quote")]),
  attempts: Count,
  time: Timestamp,
  replay_id: Type.Optional(ReplayId),
});
export type Recovery = Static<typeof Recovery>;

export const DeadLetterDetail = Type.Object({
  ...DeadLetter.properties,
  payload: Type.Optional(Type.String({ description: "of a message: base64 of it as it was" })),
  timeline: Type.Optional(Type.Array(TimelineEntry, { description: "of a delivery: attempts and answers in order" })),
  discarded: Type.Optional(Discard),
  replayed: Type.Optional(LetterReplay),
  recovered: Type.Optional(Recovery),
});
export type DeadLetterDetail = Static<typeof DeadLetterDetail>;

/** All that are given must fit. */
export const LetterFilter = Type.Object({
  kind: Type.Optional(LetterKind),
  cause: Type.Optional(Type.String({ minLength: 1, maxLength: 2_000 })),
  node_id: Type.Optional(NodeId),
  intent_id: Type.Optional(IntentId),
  stream: Type.Optional(
    Type.String({ pattern: "^[A-Z_]{1,32}$", description: "of a message: the stream it was taken from" }),
  ),
  since: Type.Optional(Timestamp),
  until: Type.Optional(Timestamp),
  status: Type.Optional(Status),
});
export type LetterFilter = Static<typeof LetterFilter>;

export const GROUP_KEYS = ["cause", "node", "version"] as const;
export type GroupKey = (typeof GROUP_KEYS)[number];

const LetterGroup = Type.Object({
  key: Type.String(),
  count: Count,
  first: Timestamp,
  last: Timestamp,
  sample_id: Type.String(),
});
export type LetterGroup = Static<typeof LetterGroup>;

/** Largest first. `has_more`: older letters were not looked at; the next page has its own counts. */
export const LetterGroups = Type.Object({
  by: Type.Enum(GROUP_KEYS),
  data: Type.Array(LetterGroup),
  scanned: Count,
  has_more: Type.Boolean(),
  next_cursor: Type.Optional(Type.String()),
});
export type LetterGroups = Static<typeof LetterGroups>;

export const DiscardRequest = Type.Object({ reason: Reason });
export type DiscardRequest = Static<typeof DiscardRequest>;

export const ReplayFilter = Type.Object({
  ...LetterFilter.properties,
  ids: Type.Optional(Type.Array(LetterId, { minItems: 1, maxItems: LIMITS.replayIdsMax, uniqueItems: true })),
});
export type ReplayFilter = Static<typeof ReplayFilter>;

export const ReplayRequest = Type.Object({
  filter: ReplayFilter,
  rate_per_second: Type.Optional(
    Type.Number({ minimum: 0.1, maximum: LIMITS.replayRateMax, description: `default ${LIMITS.replayRateDefault}` }),
  ),
  dry_run: Type.Optional(Type.Boolean()),
  reason: Type.Optional(Reason),
});
export type ReplayRequest = Static<typeof ReplayRequest>;

/** Why a letter is not, or was not, sent again. */
export const SKIP_REASONS = [
  "discarded",
  "already_answered",
  "intent_ended",
  "intent_unknown",
  "node_unknown",
  "node_suspended",
  "attempts_exhausted",
  "message_gone",
  "in_another_replay",
  "use_webhook_recover",
] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];
const Skipped = Type.Record(Type.String(), Count, { description: `by reason: ${SKIP_REASONS.join(", ")}` });

const counts = {
  matched: Count,
  valid: Type.Integer({ minimum: 0, description: "of those: can be sent again now" }),
  invalid: Skipped,
  complete: Type.Boolean({ description: "false: there are more letters than one replay looks at" }),
};

export const ReplayDryRun = Type.Object({ status: Type.Literal("dry_run"), ...counts });
export type ReplayDryRun = Static<typeof ReplayDryRun>;

export const REPLAY_STATUSES = ["running", "paused", "cancelled", "done", "failed"] as const;
export type ReplayStatus = (typeof REPLAY_STATUSES)[number];

const AuditEntry = Type.Object({
  time: Timestamp,
  action: Type.Enum(["start", "pause", "resume", "cancel", "done", "fail"]),
  by: Type.String(),
  reason: Type.Optional(Type.String()),
});

export const ReplayView = Type.Object({
  id: ReplayId,
  status: Type.Enum(REPLAY_STATUSES),
  filter: ReplayFilter,
  ...counts,
  rate_per_second: Type.Number(),
  progress: Type.Object({
    looked_at: Count,
    sent: Type.Integer({ minimum: 0, description: "deliveries sent and messages handed over again" }),
    recovered: Type.Integer({ minimum: 0, description: "of those: answered, or handled without an error" }),
    failed: Type.Integer({ minimum: 0, description: "messages whose handler failed again" }),
    skipped: Skipped,
  }),
  rate: Type.Number({ description: "sent per second while it ran" }),
  eta: Type.Optional(Timestamp),
  created: Timestamp,
  changed: Timestamp,
  audit: Type.Array(AuditEntry, { description: "who asked for what, when and why" }),
});
export type ReplayView = Static<typeof ReplayView>;

export const ReplayCommand = Type.Object({ reason: Type.Optional(Reason) });
export type ReplayCommand = Static<typeof ReplayCommand>;

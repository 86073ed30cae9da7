// Requests and answers of /v1/events and /v1/webhooks.

import Type, { type Static } from "typebox";
import { Timestamp } from "./envelope.js";
import { Event } from "./event.js";
import { EVENTS, type EventType, PUBLISHABLE_TYPES } from "./events.js";
import { EventId, WebhookId } from "./id-schemas.js";
import { LIMITS } from "./limits.js";

export const EVENT_TYPES = Object.keys(EVENTS) as EventType[];

/** `next_cursor` is always there: at the head it is where the next event will come. */
export const EventPage = Type.Object({
  data: Type.Array(Event),
  cursors: Type.Array(Type.String(), { description: "of each event in `data`: where to go on behind it" }),
  next_cursor: Type.String(),
  has_more: Type.Boolean(),
});
export type EventPage = Static<typeof EventPage>;

const Url = Type.String({ minLength: 1, maxLength: LIMITS.webhookUrlCharsMax });
const Types = Type.Array(Type.Enum([...EVENT_TYPES, ...PUBLISHABLE_TYPES]), {
  uniqueItems: true,
  description: "empty: every type",
});
const Description = Type.String({ maxLength: 200 });

export const WebhookRequest = Type.Object({
  url: Url,
  types: Type.Optional(Types),
  description: Type.Optional(Description),
  enabled: Type.Optional(Type.Boolean()),
});
export type WebhookRequest = Static<typeof WebhookRequest>;

export const WebhookChange = Type.Object({
  url: Type.Optional(Url),
  types: Type.Optional(Types),
  description: Type.Optional(Description),
  enabled: Type.Optional(Type.Boolean({ description: "false pauses it; true goes on where it stopped" })),
});
export type WebhookChange = Static<typeof WebhookChange>;

export const WebhookView = Type.Object({
  id: WebhookId,
  url: Type.String(),
  types: Type.Array(Type.String()),
  description: Type.Optional(Type.String()),
  enabled: Type.Boolean(),
  disabled_reason: Type.Optional(
    Type.String({ description: "gone: the receiver answered 410; failing: nothing but failures for five days" }),
  ),
  missed_until: Type.Optional(
    Type.String({ description: "events before then may be missing: they left the log first" }),
  ),
  created: Timestamp,
  updated: Timestamp,
});
export type WebhookView = Static<typeof WebhookView>;

/** `secret` is shown once, here. */
export const WebhookCreated = Type.Object({ ...WebhookView.properties, secret: Type.String() });
export type WebhookCreated = Static<typeof WebhookCreated>;

export const WebhookSecret = Type.Object({
  id: WebhookId,
  secret: Type.String(),
  previous_until: Type.String({ description: "until then the secret before this one signs, too" }),
});
export type WebhookSecret = Static<typeof WebhookSecret>;

export const WebhookAttempt = Type.Object({
  event_id: EventId,
  event_type: Type.String(),
  attempt: Type.Integer({ minimum: 1 }),
  outcome: Type.Enum(["delivered", "retrying", "dead", "disabled", "test"]),
  time: Timestamp,
  duration_ms: Type.Integer({ minimum: 0 }),
  status: Type.Optional(Type.Integer({ description: "absent when there was no answer" })),
  error: Type.Optional(Type.String()),
  next_attempt: Type.Optional(Timestamp),
});
export type WebhookAttempt = Static<typeof WebhookAttempt>;

export const WebhookAttempts = Type.Object({
  data: Type.Array(WebhookAttempt, {
    description: "newest first; Redis holds them, and forgets them when it is flushed",
  }),
  has_more: Type.Boolean(),
  waiting: Type.Integer({ minimum: 0, description: "events not yet taken from the log, of every type" }),
  in_hand: Type.Integer({ minimum: 0, description: "events being sent or waiting for their next attempt" }),
  failing_since: Type.Optional(
    Type.String({ description: "nothing but failures since then; after five days it is disabled" }),
  ),
});
export type WebhookAttempts = Static<typeof WebhookAttempts>;

export const WebhookTested = Type.Object({
  event_id: EventId,
  delivered: Type.Boolean(),
  duration_ms: Type.Integer({ minimum: 0 }),
  status: Type.Optional(Type.Integer()),
  error: Type.Optional(Type.String()),
  body: Type.Optional(Type.String({ description: "the first KiB of the answer" })),
});
export type WebhookTested = Static<typeof WebhookTested>;

export const RecoverRequest = Type.Object({ since: Timestamp });
export type RecoverRequest = Static<typeof RecoverRequest>;
export const RecoverAccepted = Type.Object({
  id: WebhookId,
  since: Timestamp,
  complete: Type.Boolean({ description: "false: events since then are no longer kept" }),
});
export type RecoverAccepted = Static<typeof RecoverAccepted>;

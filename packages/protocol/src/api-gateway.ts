// Requests and answers of the HTTP API about the realtime gateway: connections, revocations of buyers' rights, published events.

import Type, { type Static } from "typebox";
import { page, ROLES } from "./api.js";
import { Timestamp, Token } from "./envelope.js";
import { BackendId, EventId } from "./id-schemas.js";

const Count = Type.Integer({ minimum: 0 });

export const SUBSCRIPTION_STATES = ["opening", "live", "catching_up"] as const;

export const SubscriptionView = Type.Object({
  channel: Type.String(),
  state: Type.Enum(SUBSCRIPTION_STATES),
  position: Type.Integer({
    minimum: 0,
    description: "sequence of the event stream up to which it has everything, sent or in its queue",
  }),
  behind_ms: Type.Optional(Type.Integer({ minimum: 0, description: "since when it has been live and fell behind" })),
});
export type SubscriptionView = Static<typeof SubscriptionView>;

export const ConnectionSummary = Type.Object({
  id: Type.String(),
  process: Type.String({ description: "the gateway process that holds it" }),
  protocol: Type.String({ description: "outcry.v1, phoenix, centrifugo, sse or lines" }),
  role: Type.String({ description: "anonymous until it has said who it is" }),
  principal: Type.Optional(Type.String({ description: "key:<key id>, buyer:<backend>:<buyer> or node:<node id>" })),
  opened: Timestamp,
  last_alive: Timestamp,
  channels: Count,
  queue: Type.Object({ bytes: Count, frames: Count }),
});
export type ConnectionSummary = Static<typeof ConnectionSummary>;

export const ConnectionView = Type.Object({
  ...ConnectionSummary.properties,
  head: Type.Integer({ minimum: 0, description: "last sequence of the event stream that its process has" }),
  subscriptions: Type.Array(SubscriptionView),
});
export type ConnectionView = Static<typeof ConnectionView>;

export const ConnectionQuery = Type.Object({
  role: Type.Optional(Type.Enum([...ROLES, "anonymous"])),
  channel: Type.Optional(Type.String({ maxLength: 200 })),
  principal: Type.Optional(Type.String({ maxLength: 300 })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200 })),
  cursor: Type.Optional(Type.String({ maxLength: 64 })),
});
export type ConnectionQuery = Static<typeof ConnectionQuery>;

export const ConnectionPage = Type.Object({
  data: Type.Array(ConnectionSummary),
  has_more: Type.Boolean(),
  next_cursor: Type.Optional(Type.String()),
  matched: Type.Integer({ minimum: 0, description: "behind the cursor, in all processes that answered" }),
  processes: Type.Object({
    answered: Count,
    silent: Type.Integer({ minimum: 0, description: "known to run, without an answer in time: theirs are not listed" }),
  }),
});
export type ConnectionPage = Static<typeof ConnectionPage>;

export const BuyerRevocationRequest = Type.Object({
  buyer_id: Token,
  channel: Type.Optional(Type.String({ maxLength: 200, description: "absent: everything of this buyer" })),
  reason: Type.String({ minLength: 1, maxLength: 256 }),
  backend_id: Type.Optional(BackendId),
});
export type BuyerRevocationRequest = Static<typeof BuyerRevocationRequest>;

export const BuyerRevocationView = Type.Object({
  id: Type.String(),
  backend_id: Type.String(),
  buyer_id: Type.String(),
  channel: Type.Optional(Type.String()),
  at: Timestamp,
  by: Type.String({ description: "id of the key" }),
  reason: Type.String(),
});
export type BuyerRevocationView = Static<typeof BuyerRevocationView>;
export const BuyerRevocationPage = page(BuyerRevocationView);

export const BuyerRevocationQuery = Type.Object({
  backend_id: Type.Optional(BackendId),
  buyer_id: Type.Optional(Token),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200 })),
  cursor: Type.Optional(Type.String({ maxLength: 64 })),
});
export type BuyerRevocationQuery = Static<typeof BuyerRevocationQuery>;

/** What is left out is filled in: the topic is the channel's own, the time is now, the trace is the request's. */
export const PublishRequest = Type.Object({
  id: EventId,
  type: Type.String({ maxLength: 64 }),
  data: Type.Record(Type.String(), Type.Unknown()),
  topic: Type.Optional(Type.String({ maxLength: 300 })),
  schema_version: Type.Optional(Type.Integer({ minimum: 1 })),
  protocol_version: Type.Optional(Type.String({ maxLength: 16 })),
  time: Type.Optional(Timestamp),
  trace_id: Type.Optional(Type.String({ pattern: "^[0-9a-f]{32}$" })),
});
export type PublishRequest = Static<typeof PublishRequest>;

export const PublishAnswer = Type.Object({
  id: EventId,
  channel: Type.String(),
  topic: Type.String(),
  status: Type.Enum(["published", "repeated"]),
});
export type PublishAnswer = Static<typeof PublishAnswer>;

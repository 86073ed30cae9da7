// Requests and answers of the HTTP API that are not messages of their own.

import Type, { type Static } from "typebox";
import { DELIVERY_STATES } from "./delivery.js";
import { Digest, Timestamp, Token } from "./envelope.js";
import { Explanation } from "./events.js";
import { BackendId, IntentId, NodeId, QuoteId } from "./id-schemas.js";
import { Intent, Routing } from "./intent.js";
import { LIMITS } from "./limits.js";
import { Quote } from "./quote.js";

const Links = Type.Record(Type.String(), Type.String());
const Counts = Type.Record(Type.String(), Type.Integer({ minimum: 0 }));
const Status = Type.Enum(["open", "closed", "expired", "cancelled"]);
export type IntentStatus = "open" | "closed" | "expired" | "cancelled";

export const IntentAccepted = Type.Object({
  id: IntentId,
  status: Type.Literal("accepted"),
  targets: Type.Integer({ minimum: 1 }),
  quote_deadline: Timestamp,
  request_digest: Digest,
  links: Links,
});
export type IntentAccepted = Static<typeof IntentAccepted>;

export const IntentView = Type.Object({
  id: IntentId,
  status: Status,
  created: Timestamp,
  quote_deadline: Timestamp,
  ended: Type.Optional(Timestamp),
  request_digest: Digest,
  signature: Type.String(),
  revision: Type.Integer({ minimum: 0, description: "how often it was amended" }),
  intent: Intent,
  buyer_id: Type.Optional(Type.String()),
  routing: Routing,
  registry_revision: Type.Integer(),
  deliveries: Counts,
  links: Links,
});
export type IntentView = Static<typeof IntentView>;

const AckStatus = Type.Object({
  node_id: NodeId,
  status: Type.Enum(DELIVERY_STATES),
  attempts: Type.Integer({ minimum: 0 }),
  reason: Type.Optional(Type.String()),
});

export const AcksView = Type.Object({
  intent_id: IntentId,
  complete: Type.Boolean({ description: "no target is pending any more" }),
  counts: Counts,
  acks: Type.Array(AckStatus),
});
export type AcksView = Static<typeof AcksView>;

const RankedQuote = Type.Object({
  rank: Type.Integer({ minimum: 1 }),
  quote_id: QuoteId,
  node_id: NodeId,
  stored_at: Timestamp,
  explanation: Explanation,
  quote: Quote,
  signature: Type.String(),
});

const UnrankedQuote = Type.Object({
  quote_id: QuoteId,
  node_id: NodeId,
  stored_at: Timestamp,
  code: Type.String({ description: "superseded, processing, or an error code" }),
});

export const QuotesView = Type.Object({
  intent_id: IntentId,
  status: Status,
  method: Type.String(),
  quotes: Type.Array(RankedQuote),
  unranked: Type.Array(UnrankedQuote),
});
export type QuotesView = Static<typeof QuotesView>;

export const CancelRequest = Type.Object({ reason: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })) });

export const ROLES = ["backend", "buyer", "node", "operator", "admin"] as const;
export type Role = (typeof ROLES)[number];

export const ApiKeyRequest = Type.Object({
  role: Type.Union([Type.Literal("backend"), Type.Literal("operator"), Type.Literal("admin")]),
  name: Type.String({ minLength: 1, maxLength: 200 }),
  /** An existing backend that gets another key. */
  backend_id: Type.Optional(BackendId),
});
export type ApiKeyRequest = Static<typeof ApiKeyRequest>;

export const ApiKeyView = Type.Object({
  id: Type.String(),
  role: Type.String(),
  name: Type.String(),
  backend_id: Type.Optional(Type.String()),
  created: Timestamp,
  revoked: Type.Optional(Timestamp),
});
export type ApiKeyView = Static<typeof ApiKeyView>;

/** `secret` is shown once, here. */
export const ApiKeyCreated = Type.Object({ ...ApiKeyView.properties, secret: Type.String() });
export type ApiKeyCreated = Static<typeof ApiKeyCreated>;

export const TokenRequest = Type.Object({
  buyer_id: Token,
  channels: Type.Array(Type.String({ maxLength: 200 }), {
    minItems: 1,
    maxItems: LIMITS.channelsPerTokenMax,
    uniqueItems: true,
  }),
  ttl_ms: Type.Optional(Type.Integer({ minimum: 1_000, maximum: LIMITS.buyerTokenMs })),
});
export type TokenRequest = Static<typeof TokenRequest>;

export const TokenCreated = Type.Object({
  token: Type.String(),
  expires: Timestamp,
  channels: Type.Array(Type.String()),
});
export type TokenCreated = Static<typeof TokenCreated>;

export const RotationRequest = Type.Object({
  lead_ms: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 86_400_000,
      default: LIMITS.signingKeyLeadMs,
      description: "the new key is published so long before it signs",
    }),
  ),
});
export const RotationStarted = Type.Object({ generation: Type.Integer(), signs_from: Timestamp });
export type RotationStarted = Static<typeof RotationStarted>;

export const SigningKeyView = Type.Object({
  kid: Type.String(),
  status: Type.Enum(["next", "signing", "retiring", "revoked"]),
  published: Type.Optional(Timestamp),
  last_signed: Type.Optional(Timestamp),
  retires: Type.Optional(Timestamp),
  revoked: Type.Optional(Timestamp),
});
export type SigningKeyView = Static<typeof SigningKeyView>;

export const InviteRequest = Type.Object({
  name: Type.Optional(Type.String({ maxLength: 200 })),
  ttl_ms: Type.Optional(Type.Integer({ minimum: 60_000, maximum: 30 * 86_400_000 })),
});
export type InviteRequest = Static<typeof InviteRequest>;
export const InviteCreated = Type.Object({ id: Type.String(), invite: Type.String(), expires: Timestamp });
export type InviteCreated = Static<typeof InviteCreated>;

export const page = <T extends Type.TSchema>(item: T) =>
  Type.Object({ data: Type.Array(item), next_cursor: Type.Optional(Type.String()), has_more: Type.Boolean() });

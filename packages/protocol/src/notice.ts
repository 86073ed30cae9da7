// What a node hears on `ucp.v1.node.<node>.notice`, at most once; and its own word when it comes back.

import Type, { type Static } from "typebox";
import { PROTOCOL, PROTOCOL_VERSION } from "./envelope.js";
import { IntentId, QuoteId } from "./id-schemas.js";

/** What became of a stored quote; the durable word is its event. */
export const QuoteNotice = Type.Object({
  type: Type.Union([Type.Literal("quote_ranked"), Type.Literal("quote_refused")]),
  intent_id: IntentId,
  quote_id: QuoteId,
  code: Type.Optional(Type.String()),
  detail: Type.Optional(Type.String()),
});
export type QuoteNotice = Static<typeof QuoteNotice>;

/** The end of a catch-up. */
export const CatchUpNotice = Type.Object({
  type: Type.Literal("caught_up"),
  intents: Type.Integer({ minimum: 0, description: "sent once more" }),
  more: Type.Boolean({ description: "there are others: ask again" }),
});
export type CatchUpNotice = Static<typeof CatchUpNotice>;

export const Notice = Type.Union([QuoteNotice, CatchUpNotice]);
export type Notice = Static<typeof Notice>;

/** On `ucp.v1.catchup.<node>`: send me what I missed and may still answer. */
export const CatchUpRequest = Type.Object({
  protocol: Type.Literal(PROTOCOL),
  version: Type.Literal(PROTOCOL_VERSION),
});
export type CatchUpRequest = Static<typeof CatchUpRequest>;

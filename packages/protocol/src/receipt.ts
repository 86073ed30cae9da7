// The dispatch receipt: one per intent and node, its id derived, so that every reader names it alike.

import Type, { type Static } from "typebox";
import { DELIVERY_STATES } from "./delivery.js";
import { Timestamp } from "./envelope.js";
import { IntentId, NodeId, ReceiptId } from "./id-schemas.js";

export const Receipt = Type.Object({
  receipt_id: ReceiptId,
  intent_id: IntentId,
  node_id: NodeId,
  status: Type.Enum(DELIVERY_STATES),
  attempts: Type.Integer({ minimum: 0 }),
  final: Type.Boolean({ description: "true once the intent has ended" }),
  reason: Type.Optional(Type.String()),
  responded_at: Type.Optional(Timestamp),
});
export type Receipt = Static<typeof Receipt>;

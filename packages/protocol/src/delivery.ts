// The state of one intent at one node, packed as one byte: low nibble the state, high nibble the attempts made.
// The transition table is the only authority; the Redis script and the rebuild both follow it.

import Type, { type Static } from "typebox";
import { IntentId, NodeId, ReceiptId } from "./id-schemas.js";
import { LIMITS } from "./limits.js";

/** In code order: a state's index is its code on disk, so the order never changes. */
export const DELIVERY_STATES = [
  "pending",
  "acked",
  "quoted",
  "declined",
  "rejected",
  "dead",
  "timed_out",
  "cancelled",
] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

/** Allowed moves. `dead` may recover until the end; a final state has no move but by the end's own rule. */
export const DELIVERY_TRANSITIONS: Readonly<Record<DeliveryState, readonly DeliveryState[]>> = {
  pending: ["acked", "quoted", "declined", "rejected", "dead", "timed_out", "cancelled"],
  acked: ["quoted", "declined", "timed_out", "cancelled"],
  dead: ["acked", "quoted"],
  quoted: [],
  declined: [],
  rejected: [],
  timed_out: [],
  cancelled: [],
};

/** States that need nothing more; when all targets are in one of them the intent closes. */
export const FINAL_STATES: ReadonlySet<DeliveryState> = new Set([
  "quoted",
  "declined",
  "rejected",
  "dead",
  "timed_out",
  "cancelled",
]);

export const stateCode = (state: DeliveryState): number => DELIVERY_STATES.indexOf(state);

export const canMove = (from: DeliveryState, to: DeliveryState): boolean => DELIVERY_TRANSITIONS[from].includes(to);

export interface PackedDelivery {
  state: DeliveryState;
  attempts: number;
}

/** Throws RangeError for attempts that four bits cannot hold: a row must never wrap round. */
export function packDelivery({ state, attempts }: PackedDelivery): number {
  if (!(Number.isInteger(attempts) && attempts >= 0 && attempts <= LIMITS.attemptsCeiling)) {
    throw new RangeError(`a delivery holds 0 to ${LIMITS.attemptsCeiling} attempts, not ${attempts}`);
  }
  return (attempts << 4) | stateCode(state);
}

export function unpackDelivery(byte: number): PackedDelivery {
  const state = DELIVERY_STATES[byte & 0x0f];
  if (state === undefined) throw new RangeError(`no delivery state has the code ${byte & 0x0f}`);
  return { state, attempts: byte >> 4 };
}

/** How an open delivery ends when its intent does. */
export function stateAtEnd(state: DeliveryState, outcome: "closed" | "expired" | "cancelled"): DeliveryState {
  if (FINAL_STATES.has(state)) return state;
  return outcome === "cancelled" ? "cancelled" : "timed_out";
}

export const Delivery = Type.Object({
  intent_id: IntentId,
  node_id: NodeId,
  receipt_id: ReceiptId,
  state: Type.Enum(DELIVERY_STATES),
  attempts: Type.Integer({ minimum: 0 }),
});
export type Delivery = Static<typeof Delivery>;

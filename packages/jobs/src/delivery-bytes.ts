// The binary forms that the delivery scripts read: one byte per node, three per update, two per index.

import {
  canMove,
  DELIVERY_STATES,
  type DeliveryState,
  FINAL_STATES,
  type PackedDelivery,
  packDelivery,
  stateCode,
} from "@outcry/protocol";

/** Row by `from`, column by `to`: '0' where the protocol's table forbids the move, else '2' plus its effect on the open count. */
export const MOVES = DELIVERY_STATES.map((from) =>
  DELIVERY_STATES.map((to) => (canMove(from, to) ? String(2 + openness(to) - openness(from)) : "0")).join(""),
).join("");

function openness(state: DeliveryState): 0 | 1 {
  return FINAL_STATES.has(state) ? 0 : 1;
}

export interface DeliveryUpdate {
  /** Position in the row's targets. */
  index: number;
  to: DeliveryState;
}

export const packDeliveries = (deliveries: PackedDelivery[]): Buffer => Buffer.from(deliveries.map(packDelivery));

/** Sorted by index, which the script relies on; the order of one node's updates is kept. */
export function packUpdates(updates: DeliveryUpdate[]): { bytes: Buffer; sorted: DeliveryUpdate[] } {
  const sorted = updates.toSorted((a, b) => a.index - b.index);
  const bytes = Buffer.allocUnsafe(sorted.length * 3);
  let at = 0;
  for (const { index, to } of sorted) {
    at = bytes.writeUInt16BE(index, at); // targetsMax is below 2^16
    at = bytes.writeUInt8(stateCode(to), at);
  }
  return { bytes, sorted };
}

export function packIndexes(indexes: number[]): { bytes: Buffer; sorted: number[] } {
  const sorted = indexes.toSorted((a, b) => a - b);
  const bytes = Buffer.allocUnsafe(sorted.length * 2);
  sorted.forEach((index, position) => bytes.writeUInt16BE(index, position * 2));
  return { bytes, sorted };
}

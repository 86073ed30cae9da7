// Money is an integer in minor units and an ISO 4217 code; how many digits a currency has is a matter of display.

import Type, { type Static } from "typebox";
import { LIMITS } from "./limits.js";

export const AmountMinor = Type.Integer({ minimum: 0, maximum: LIMITS.amountMinorMax });
export const Currency = Type.String({ pattern: "^[A-Z]{3}$", description: "ISO 4217 code" });

export const Money = Type.Object({ amount_minor: AmountMinor, currency: Currency });
export type Money = Static<typeof Money>;

/** Sum of minor units, or undefined when it leaves the safe integers. */
export function sumMinor(amounts: Iterable<number>): number | undefined {
  let sum = 0;
  for (const amount of amounts) {
    sum += amount;
    if (!Number.isSafeInteger(sum)) return undefined;
  }
  return sum;
}

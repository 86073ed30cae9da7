// What a backend may cause per minute: deliveries, and bytes on their way to nodes. Known only once the targets are chosen, charged before
// anything is recorded. How counting works across processes: packages/jobs/src/limiter.ts.

import type { IntentRecord } from "@outcry/delivery";
import { type Cost, type Limiter, type LimiterOptions, type Standing, createLimiter } from "@outcry/jobs";
import { OutcryError } from "@outcry/protocol";
import type { Quotas } from "./quotas.js";

const MINUTE_MS = 60_000;

export interface IntentCost extends Cost {
  readonly deliveries: number;
  /** Deliveries × bytes of the signed intent; attempts beyond the first are ours. */
  readonly bytes: number;
}

export const NO_COST: IntentCost = { deliveries: 0, bytes: 0 };

export interface BackendLimits {
  /** The refusal, or undefined when it was charged. */
  charge(backendId: string, cost: IntentCost): OutcryError | undefined;
  giveBack(backendId: string, cost: IntentCost): void;
  standing(backendId: string): Standing[];
  stop(): Promise<void>;
}

export function createBackendLimits(
  { deliveriesPerMinute, deliveryBytesPerMinute }: Quotas,
  deps: Pick<LimiterOptions, "store" | "clock" | "log">,
): BackendLimits {
  const limiter: Limiter = createLimiter({
    ...deps,
    name: "backend",
    policies: [
      { name: "deliveries", quota: deliveriesPerMinute, windowMs: MINUTE_MS },
      { name: "bytes", quota: deliveryBytesPerMinute, windowMs: MINUTE_MS },
    ],
  });
  return {
    charge(backendId, cost) {
      const charge = limiter.charge(backendId, cost);
      if (charge.kind === "charged") return undefined;
      const { policy, left, retryAfterMs } = charge;
      const detail = `This intent costs ${charge.cost} ${policy.name}; ${left} of ${policy.quota} per minute are left.`;
      return new OutcryError("rate_limited", detail, { retryAfterMs });
    },
    giveBack: (backendId, { deliveries, bytes }) => limiter.add(backendId, { deliveries: -deliveries, bytes: -bytes }),
    standing: (backendId) => limiter.standing(backendId),
    stop: () => limiter.stop(),
  };
}

export function costOf({ targets, envelope }: Pick<IntentRecord, "targets" | "envelope">): IntentCost {
  return { deliveries: targets.length, bytes: targets.length * Buffer.byteLength(envelope) };
}

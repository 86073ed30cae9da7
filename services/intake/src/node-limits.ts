// What one node may send: quotes and their bytes per minute, and bytes in QUOTES within their retention, so that no node can fill the
// stream. Refusals are temporary and say when to come again. How counting works across processes: packages/jobs/src/limiter.ts.

import { type Backbone, streamHead } from "@outcry/backbone";
import { type Charge, type Limiter, type LimiterOptions, createLimiter } from "@outcry/jobs";
import { LIMITS, OutcryError, STREAMS } from "@outcry/protocol";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const STORED_OVERHEAD_BYTES = 150; // of a message in a stream: its frame, the names of its headers, expectations

export interface NodeQuotas {
  readonly quotesPerMinute: number;
  readonly quoteBytesPerMinute: number;
  /** Percent of QUOTES' max_bytes. */
  readonly quotesSharePercent: number;
}

export const NO_NODE_QUOTAS: NodeQuotas = { quotesPerMinute: 0, quoteBytesPerMinute: 0, quotesSharePercent: 0 };

export interface NodeLimits {
  /** Before a quote is read: it costs its bytes whatever becomes of it. Throws rate_limited. */
  requireRate(nodeId: string, bytes: number): void;
  /** Before it is appended. Throws rate_limited. */
  requireShare(nodeId: string, bytes: number): void;
  /** It was appended. */
  stored(nodeId: string, bytes: number): void;
  stop(): Promise<void>;
}

export async function createNodeLimits(
  quotas: NodeQuotas,
  { backbone, ...deps }: Pick<LimiterOptions, "store" | "clock" | "log"> & { backbone: Backbone },
): Promise<NodeLimits> {
  const { bytesMax } = await streamHead(backbone, STREAMS.quotes);
  const rate = createLimiter({
    ...deps,
    name: "node",
    policies: [
      { name: "quotes", quota: quotas.quotesPerMinute, windowMs: MINUTE_MS },
      { name: "bytes", quota: quotas.quoteBytesPerMinute, windowMs: MINUTE_MS },
    ],
  });
  const share = createLimiter({
    ...deps,
    name: "node-share",
    policies: [
      {
        name: "stored",
        quota: Math.floor((bytesMax * quotas.quotesSharePercent) / 100),
        windowMs: LIMITS.quotesAgeMs,
        slices: LIMITS.quotesAgeMs / DAY_MS,
      },
    ],
  });
  return {
    requireRate: (nodeId, bytes) => requireCharged(rate.charge(nodeId, { quotes: 1, bytes }), "per minute"),
    requireShare: (nodeId, bytes) =>
      requireCharged(share.look(nodeId, { stored: bytes + STORED_OVERHEAD_BYTES }), "bytes in the record"),
    stored: (nodeId, bytes) => share.add(nodeId, { stored: bytes + STORED_OVERHEAD_BYTES }),
    stop: () => stopAll([rate, share]),
  };
}

function requireCharged(charge: Charge, unit: string): void {
  if (charge.kind === "charged") return;
  const { policy, cost, left, retryAfterMs } = charge;
  const detail = `this quote costs ${cost} ${policy.name}; ${left} of ${policy.quota} ${unit} are left`;
  throw new OutcryError("rate_limited", detail, { retryAfterMs });
}

async function stopAll(limiters: readonly Limiter[]): Promise<void> {
  await Promise.all(limiters.map((limiter) => limiter.stop()));
}

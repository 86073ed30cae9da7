// Whether a verified envelope is current. Separate from verifying: an archived message still verifies.

import { LIMITS, parseRfc3339 } from "@outcry/protocol";

export type Freshness = { kind: "ok" } | { kind: "expired" } | { kind: "future_dated" };

export interface FreshnessOptions {
  /** How far ahead another clock may be. `expires` has no tolerance. */
  skewMs?: number;
}

/** A time that is missing or not RFC 3339 UTC with milliseconds counts as the worse of both ends. */
export function checkFreshness(
  envelope: { created?: unknown; expires?: unknown },
  nowMs: number,
  options: FreshnessOptions = {},
): Freshness {
  const skewMs = options.skewMs ?? LIMITS.clockSkewMs;
  const createdMs = instantOf(envelope.created) ?? Number.POSITIVE_INFINITY;
  const expiresMs = instantOf(envelope.expires) ?? Number.NEGATIVE_INFINITY;
  if (expiresMs <= nowMs) return { kind: "expired" };
  return createdMs > nowMs + skewMs ? { kind: "future_dated" } : { kind: "ok" };
}

const instantOf = (value: unknown): number | undefined => (typeof value === "string" ? parseRfc3339(value) : undefined);

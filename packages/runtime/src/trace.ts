// The traceparent header (W3C Trace Context, Level 1). Spans are not recorded here; ids are carried on.

import { randomBytes } from "node:crypto";

export interface TraceContext {
  /** 32 hex digits. */
  traceId: string;
  /** 16 hex digits: the caller's span. */
  spanId: string;
  /** Two hex digits. */
  flags: string;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** undefined for anything malformed: the trace then starts anew (§4.3). */
export function parseTraceparent(header: string | undefined): TraceContext | undefined {
  const [, version, traceId, spanId, flags, rest] = header?.match(TRACEPARENT) ?? [];
  if (!version || !traceId || !spanId || !flags) return undefined;
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, flags };
}

/** A new span in the parent's trace, or in a new, sampled trace. */
export function childTrace(
  parent: TraceContext | undefined,
  random: (bytes: number) => Buffer = randomBytes,
): TraceContext {
  return {
    traceId: parent?.traceId ?? nonZero(16, random),
    spanId: nonZero(8, random),
    flags: parent?.flags ?? "01",
  };
}

export function formatTraceparent({ traceId, spanId, flags }: TraceContext): string {
  return `00-${traceId}-${spanId}-${flags}`;
}

function nonZero(bytes: number, random: (bytes: number) => Buffer): string {
  const made = random(bytes);
  if (made.every((byte) => byte === 0)) made[0] = 1;
  return made.toString("hex");
}

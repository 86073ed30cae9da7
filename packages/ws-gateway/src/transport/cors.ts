// Which browsers' pages may call (Fetch standard, CORS protocol): streamed answers here, the HTTP API in services/broadcast. The origin is
// answered by name, never by `*`: a list of several can be told in no other way, and a token in the address is no credential that a
// wildcard would guard.

import type { IncomingHttpHeaders } from "node:http";

const PREFLIGHT_KEPT_S = 600;

/** What clients of ours send beyond what needs no asking. */
const REQUEST_HEADERS = [
  "Authorization",
  "Content-Type",
  "Idempotency-Key",
  "If-Match",
  "If-None-Match",
  "Last-Event-ID",
  "X-Phoenix-AuthToken",
  "X-Request-Id",
  "traceparent",
  "tracestate",
].join(", ");

/** What answers carry that a page may not read by itself. */
const EXPOSED_HEADERS = [
  "X-Request-Id",
  "traceparent",
  "Retry-After",
  "RateLimit",
  "RateLimit-Policy",
  "Outcry-Cost",
  "Idempotent-Replayed",
  "Location",
  "ETag",
  "Allow",
  "WWW-Authenticate",
].join(", ");

/** A request without Origin is no browser's, or one of the same origin. */
export const isAllowedOrigin = (origin: string | undefined, allowed: readonly string[]): boolean =>
  origin === undefined || allowed.includes("*") || allowed.includes(origin);

/** For every answer. */
export function corsHeaders(
  { origin }: Pick<IncomingHttpHeaders, "origin">,
  allowed: readonly string[],
): Record<string, string> {
  const readable = origin !== undefined && isAllowedOrigin(origin, allowed);
  if (!readable) return { Vary: "Origin" };
  return {
    Vary: "Origin",
    "Access-Control-Allow-Origin": origin,
    "Access-Control-Expose-Headers": EXPOSED_HEADERS,
  };
}

/** For the answer to OPTIONS. */
export const preflightHeaders = (methods: readonly string[]): Record<string, string> => ({
  "Access-Control-Allow-Methods": methods.join(", "),
  "Access-Control-Allow-Headers": REQUEST_HEADERS,
  "Access-Control-Max-Age": String(PREFLIGHT_KEPT_S),
});

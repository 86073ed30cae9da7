// Which browsers' pages may read streamed answers (Fetch standard, CORS protocol). The origin is answered by name, never by `*`: a list
// of several can be told in no other way, and a token in the address is no credential that a wildcard would guard.

import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";

const PREFLIGHT_KEPT_S = 600;

/** A request without Origin is no browser's, or one of the same origin. */
export const isAllowedOrigin = (origin: string | undefined, allowed: readonly string[]): boolean =>
  origin === undefined || allowed.includes("*") || allowed.includes(origin);

/** For every answer. */
export function corsHeaders({ origin }: IncomingHttpHeaders, allowed: readonly string[]): OutgoingHttpHeaders {
  const readable = origin !== undefined && isAllowedOrigin(origin, allowed);
  return { Vary: "Origin", ...(readable ? { "Access-Control-Allow-Origin": origin } : {}) };
}

/** For the answer to OPTIONS. */
export const PREFLIGHT_HEADERS: OutgoingHttpHeaders = {
  "Access-Control-Allow-Methods": "GET",
  "Access-Control-Allow-Headers": "Authorization, Last-Event-ID",
  "Access-Control-Max-Age": PREFLIGHT_KEPT_S,
};

// What every request carries: its id, its trace, and one line in the log. Paths are logged as patterns, bodies and headers
// never: both may hold secrets.

import { type Log, newId } from "@outcry/protocol";
import { childTrace, formatTraceparent, parseTraceparent } from "@outcry/runtime";
import { randomFillSync } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { ANONYMOUS, type App } from "./principal.js";

const FOREIGN_ID = /^[A-Za-z0-9_.:-]{1,128}$/; // safe in a header, a log line and a NATS header

/** The caller's X-Request-Id when it is a plain token, else a fresh one. */
export function requestIdOf(raw: { headers: IncomingMessage["headers"] }): string {
  const sent = raw.headers["x-request-id"];
  return typeof sent === "string" && FOREIGN_ID.test(sent) ? sent : newId("req");
}

export interface RequestContextDeps {
  log: Log;
  /** Told of each answer, for metrics. */
  onAnswered?(answer: { method: string; route: string; status: number; seconds: number }): void;
}

export function useRequestContext(app: App, deps: RequestContextDeps): void {
  app.decorateRequest("principal");
  app.decorateRequest("trace");
  app.decorateRequest("startedAt", 0);

  // With `done`: a promise per hook and request would cost more than what these do.
  app.addHook("onRequest", (request, reply, done) => {
    const traceparent = request.headers["traceparent"];
    request.startedAt = performance.now();
    request.principal = ANONYMOUS;
    const trace = childTrace(parseTraceparent(typeof traceparent === "string" ? traceparent : undefined), pooledRandom);
    request.trace = { traceId: trace.traceId, traceparent: formatTraceparent(trace) };
    void reply.headers({
      "x-request-id": request.id,
      traceparent: request.trace.traceparent,
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
    });
    done();
  });

  app.addHook("onResponse", (request, reply, done) => {
    const seconds = (performance.now() - request.startedAt) / 1_000;
    const route = request.routeOptions.url ?? "none";
    const status = reply.statusCode;
    deps.onAnswered?.({ method: request.method, route, status, seconds });
    const hidden = request.routeOptions.schema?.hide === true; // probes, every few seconds
    deps.log[hidden ? "debug" : "info"](
      {
        request_id: request.id,
        trace_id: request.trace.traceId,
        method: request.method,
        route,
        status,
        ms: Math.round(seconds * 1e6) / 1e3,
        role: request.principal.role,
        ...(request.principal.keyId === undefined ? {} : { key_id: request.principal.keyId }),
      },
      "answered",
    );
    done();
  });
}

const POOL_BYTES = 4_096; // one call of the system's generator serves some 200 requests
const pool = Buffer.alloc(POOL_BYTES);
let used = POOL_BYTES;

/** Ids only: no secret is made of it. */
function pooledRandom(bytes: number): Buffer {
  if (used + bytes > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  return pool.subarray(used, (used += bytes));
}

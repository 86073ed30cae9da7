// Every failed answer as RFC 9457 problem details from the error table. Fastify's own errors are translated here, once.

import type { Socket } from "node:net";
import { type ErrorCode, isOutcryError, LIMITS, type Log, newId, OutcryError, problemOf } from "@outcry/protocol";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { App } from "./principal.js";
import { methodsOf, type RouteTable } from "./route-table.js";

export const PROBLEM_TYPE = "application/problem+json";
const RETRY_AFTER_MS = 1_000; // outages here end within seconds

const FASTIFY_CODES: Readonly<Record<string, [code: ErrorCode, detail: string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ["json_too_large", `The limit is ${LIMITS.bodyBytesMax} bytes.`],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ["media_type_unsupported", "The Content-Type header is missing or another one."],
  FST_ERR_CTP_EMPTY_TYPE: ["media_type_unsupported", "The Content-Type header is empty."],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ["request_invalid", "The body is not as long as Content-Length says."],
  FST_ERR_BAD_URL: ["request_invalid", "The path is not a valid URL path."],
  FST_ERR_MAX_PARAM_LENGTH: ["route_not_found", "A part of the path is too long."],
};

/** What went wrong, as a row of the table; undefined when it is a fault of ours that the caller must not read about. */
function known(error: unknown): OutcryError | undefined {
  if (isOutcryError(error)) return error;
  const { code, statusCode } = error as { code?: string; statusCode?: number };
  const row = FASTIFY_CODES[code ?? ""];
  if (row !== undefined) return new OutcryError(row[0], row[1], { cause: error });
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new OutcryError("request_invalid", (error as Error).message, { cause: error });
  }
  return undefined;
}

/** Sends any error as the problem it is. */
export function sendProblem(log: Log, error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const outcome = known(error) ?? new OutcryError("internal", undefined, { cause: error });
  if (outcome.httpStatus >= 500) {
    const { message, stack } = (outcome.cause ?? outcome) as Error;
    log.error({ request_id: request.id, code: outcome.code, error: message, stack }, "request failed");
  }
  if (outcome.temporary) {
    const seconds = Math.ceil((outcome.retryAfterMs ?? RETRY_AFTER_MS) / 1_000);
    void reply.header("retry-after", Math.max(1, seconds));
  }
  if (outcome.httpStatus === 401) void reply.header("www-authenticate", 'Bearer realm="outcry"');
  return reply
    .code(outcome.httpStatus)
    .type(PROBLEM_TYPE)
    .serializer(JSON.stringify)
    .send(problemOf(outcome, request.id));
}

export function useProblems(app: App, log: Log, routes: RouteTable): void {
  app.setErrorHandler((error, request, reply) => sendProblem(log, error, request, reply));
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?", 1)[0]!;
    const allowed = methodsOf(routes, path);
    if (allowed.length === 0) return sendProblem(log, new OutcryError("route_not_found"), request, reply);
    void reply.header("allow", allowed.join(", "));
    return sendProblem(
      log,
      new OutcryError("method_not_allowed", `Allowed here: ${allowed.join(", ")}.`),
      request,
      reply,
    );
  });
}

/** Bytes that never became a request: malformed HTTP, headers too long or too slow. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || socket.destroyed || !socket.writable) return void socket.destroy();
  const late = error.code === "ERR_HTTP_REQUEST_TIMEOUT";
  const refusal = new OutcryError(
    "request_invalid",
    late ? "The request did not arrive whole in time." : "This is not HTTP/1.1.",
  );
  const requestId = newId("req");
  const body = JSON.stringify(problemOf(refusal, requestId));
  const head = [
    `HTTP/1.1 400 Bad Request`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
  ];
  socket.end(`${[...head, "Connection: close"].join("\r\n")}\r\n\r\n${body}`);
}

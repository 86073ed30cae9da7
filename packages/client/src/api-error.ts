// A refusal of the service, typed: the problem it sent (RFC 9457) as a row of the error table, and how to refer to it.

import { type ErrorCode, errorOfProblem, OutcryError, type Problem } from "@outcry/protocol";

export interface ApiErrorParts {
  /** HTTP status; 0 when there was no answer. */
  status: number;
  requestId?: string | undefined;
  retryAfterMs?: number | undefined;
  idempotencyKey?: string | undefined;
  pointers?: OutcryError["pointers"];
  cause?: unknown;
}

export class ApiError extends OutcryError {
  readonly status: number;
  readonly requestId: string | undefined;
  /** Repeat the request with it: the intent is made once, whatever became of this attempt. */
  readonly idempotencyKey: string | undefined;

  constructor(code: ErrorCode, detail: string | undefined, parts: ApiErrorParts) {
    super(code, detail, { cause: parts.cause, pointers: parts.pointers ?? [], retryAfterMs: parts.retryAfterMs });
    this.status = parts.status;
    this.requestId = parts.requestId;
    this.idempotencyKey = parts.idempotencyKey;
  }
}

export const isApiError = (error: unknown, code?: ErrorCode): error is ApiError =>
  error instanceof ApiError && (code === undefined || error.code === code);

export function errorOfAnswer(status: number, headers: Headers, text: string, idempotencyKey?: string): ApiError {
  const parts = {
    status,
    requestId: headers.get("x-request-id") ?? undefined,
    retryAfterMs: retryAfterMs(headers),
    idempotencyKey,
  };
  const problem = problemIn(text);
  if (problem === undefined)
    return new ApiError(codeOfStatus(status), `the server answered ${status} without a problem body`, parts);
  const { code, detail, pointers } = errorOfProblem({
    ...problem,
    errors: Array.isArray(problem.errors) ? problem.errors : [],
  });
  const { request_id } = problem;
  return new ApiError(code, detail, {
    ...parts,
    pointers,
    requestId: typeof request_id === "string" ? request_id : parts.requestId,
  });
}

/** No answer at all. */
export function errorOfFailure(cause: unknown, what: string, idempotencyKey?: string): ApiError {
  const late = cause instanceof Error && cause.name === "TimeoutError";
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const why = inner instanceof Error ? inner.message || inner.name : String(inner);
  return new ApiError(late ? "timed_out" : "dependency_unavailable", `${what}: ${why}`, {
    status: 0,
    idempotencyKey,
    cause,
  });
}

/** An answer that came through something else than the service. */
function codeOfStatus(status: number): ErrorCode {
  if (status === 504 || status === 408) return "timed_out";
  if (status >= 500 || status === 429) return "dependency_unavailable";
  if (status === 401) return "credentials_invalid";
  if (status === 403) return "permission_denied";
  return status === 404 ? "route_not_found" : "request_invalid";
}

function problemIn(text: string): (Pick<Problem, "code" | "detail"> & Partial<Problem>) | undefined {
  try {
    const value = JSON.parse(text) as Partial<Problem> | null;
    if (typeof value?.code !== "string" || typeof value.detail !== "string") return undefined;
    return { ...value, code: value.code, detail: value.detail };
  } catch {
    return undefined; // a proxy's page
  }
}

/** RFC 9110 §10.2.3: seconds, or a date. */
function retryAfterMs(headers: Headers): number | undefined {
  const value = headers.get("retry-after");
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

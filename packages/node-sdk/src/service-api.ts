// The few HTTP calls of a node: register, prove its key, read the service's keys. Problems come back as OutcryError.

import { type ErrorPointer, errorOfProblem, OutcryError, type Problem } from "@outcry/protocol";
import { NODE_LIMITS } from "./limits.js";

export interface ServiceApi {
  get(path: string, signal?: AbortSignal): Promise<unknown>;
  post(path: string, body?: unknown, signal?: AbortSignal): Promise<unknown>;
  delete(path: string, token: string, signal?: AbortSignal): Promise<unknown>;
}

export function serviceApi(options: { url: string; fetch: typeof fetch }): ServiceApi {
  const base = options.url.replace(/\/+$/, "");
  const call = async (
    method: string,
    path: string,
    { body, token }: { body?: unknown; token?: string },
    signal?: AbortSignal,
  ): Promise<unknown> => {
    const timeout = AbortSignal.timeout(NODE_LIMITS.httpTimeoutMs);
    try {
      const response = await options.fetch(`${base}${path}`, {
        method,
        headers: {
          accept: "application/json",
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (response.ok) return parse(text);
      throw refusal(response.status, text);
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof OutcryError) throw cause;
      throw new OutcryError("dependency_unavailable", `${method} ${base}${path}: ${reasonOf(cause)}`, { cause });
    }
  };
  return {
    get: (path, signal) => call("GET", path, {}, signal),
    post: (path, body, signal) => call("POST", path, { body }, signal),
    delete: (path, token, signal) => call("DELETE", path, { token }, signal),
  };
}

function parse(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a proxy's page: what the caller makes of undefined says more than the parser's words
  }
}

function refusal(status: number, text: string): OutcryError {
  const body = parse(text) as { [K in keyof Problem]?: unknown } | null | undefined;
  if (typeof body?.code === "string" && typeof body.detail === "string") {
    return errorOfProblem({
      code: body.code,
      detail: body.detail,
      errors: Array.isArray(body.errors) ? (body.errors as ErrorPointer[]) : [],
      retryable: body.retryable === true,
    });
  }
  return new OutcryError(
    status >= 500 || status === 429 ? "dependency_unavailable" : "request_invalid",
    `the service answered ${status}`,
  );
}

/** fetch hides the reason in `cause`. */
function reasonOf(error: unknown): string {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return inner instanceof Error ? inner.message || inner.name : String(inner);
}

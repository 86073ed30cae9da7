// One HTTP call of the client: bearer credential, bounded retries of what may be repeated, problems as ApiError.
// The client is the retry owner of its hop: a repeated request is the same request, with the same Idempotency-Key.

import { type ApiError, errorOfAnswer, errorOfFailure } from "./api-error.js";
import { fullJitterMs, pause } from "./backoff.js";
import { CLIENT_LIMITS } from "./limits.js";

export interface HttpDeps {
  /** Without a slash at its end. */
  readonly baseUrl: string;
  readonly credential: () => Promise<string>;
  /** True when asking for the credential again may give another one. */
  readonly renewable: boolean;
  readonly fetch: typeof fetch;
  readonly random: () => number;
}

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** Sent with a POST; named in the error of any request that belongs to it. */
  readonly idempotencyKey?: string;
  /** False for what must not happen twice: its outcome is then the caller's to find out. */
  readonly repeatable: boolean;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpAnswer<T> {
  readonly value: T;
  readonly headers: Headers;
}

export async function call<T>(deps: HttpDeps, request: HttpRequest): Promise<HttpAnswer<T>> {
  const backoff = { baseMs: CLIENT_LIMITS.retryBaseMs, capMs: CLIENT_LIMITS.retryCapMs };
  let renewed = false;
  for (let attempt = 0; ; attempt++) {
    const outcome = await once<T>(deps, request);
    if (outcome.kind === "ok") return outcome;
    const { error } = outcome;
    if (attempt > 0 && request.method === "DELETE" && error.status === 404)
      return { value: undefined as T, headers: new Headers() }; // done by an attempt whose answer was lost
    if (deps.renewable && !renewed && error.code === "token_expired") {
      renewed = true;
      continue;
    }
    const wishMs = error.retryAfterMs ?? 0;
    const again =
      request.repeatable &&
      error.temporary &&
      attempt + 1 < CLIENT_LIMITS.attemptsMax &&
      wishMs <= CLIENT_LIMITS.retryAfterMaxMs;
    if (!again) throw error;
    await pause(wishMs + fullJitterMs(attempt, backoff, deps.random), request.signal);
  }
}

type Outcome<T> = ({ kind: "ok" } & HttpAnswer<T>) | { kind: "failed"; error: ApiError };

async function once<T>(deps: HttpDeps, request: HttpRequest): Promise<Outcome<T>> {
  const { method, path, body, signal } = request;
  const timeout = AbortSignal.timeout(request.timeoutMs ?? CLIENT_LIMITS.requestTimeoutMs);
  const key = request.idempotencyKey;
  signal?.throwIfAborted();
  const credential = await deps.credential();
  try {
    const response = await deps.fetch(`${deps.baseUrl}${path}`, {
      method,
      headers: headersOf(request, credential),
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) return { kind: "failed", error: errorOfAnswer(response.status, response.headers, text, key) };
    return { kind: "ok", value: (text === "" ? undefined : JSON.parse(text)) as T, headers: response.headers };
  } catch (cause) {
    signal?.throwIfAborted();
    return { kind: "failed", error: errorOfFailure(cause, `${method} ${deps.baseUrl}${path}`, key) };
  }
}

function headersOf({ method, body, headers, idempotencyKey }: HttpRequest, credential: string): Record<string, string> {
  const given = Object.entries(headers ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return {
    accept: "application/json",
    authorization: `Bearer ${credential}`,
    ...(body === undefined ? {} : { "content-type": "application/json" }),
    ...(method === "POST" && idempotencyKey !== undefined ? { "idempotency-key": idempotencyKey } : {}),
    ...Object.fromEntries(given),
  };
}

/** `?…` of the fields that have a value, or nothing. */
export function queryOf(fields: Record<string, string | number | undefined>): string {
  const given = Object.entries(fields).filter((entry): entry is [string, string | number] => entry[1] !== undefined);
  return given.length === 0
    ? ""
    : `?${new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)])).toString()}`;
}

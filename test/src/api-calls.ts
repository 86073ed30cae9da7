// The HTTP API as a test calls it: any method, any body, any key; answers as they are.

import type { ApiKeyCreated, IntentAccepted, IntentRequest, Problem } from "@outcry/protocol";

export interface Answer<T> {
  status: number;
  headers: Headers;
  body: T;
}

/** Texts and bytes go out as they are, anything else as JSON. */
export type Call = <T = Problem>(
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Answer<T>>;

/** What a post may be answered with; `status` is left to the answer's own. */
export type Posted = Omit<IntentAccepted, "status"> & Omit<Problem, "status">;

export interface Backend {
  readonly id: string;
  readonly call: Call;
  /** POST /v1/intents under a fresh key, or the one given. */
  post(request: unknown, idempotencyKey?: string): Promise<Answer<Posted>>;
  /** The same, for an intent that must be accepted: its id. */
  broadcast(request: Partial<IntentRequest>): Promise<string>;
}

export const anIntent: IntentRequest = { line_items: [{ query: "running shoes" }], context: { currency: "EUR" } };

export function callAs(url: string, secret: string | undefined): Call {
  return async (method, path, body, headers) => {
    const raw = typeof body === "string" || body instanceof Uint8Array;
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: raw ? (body as string) : JSON.stringify(body) }),
    });
    const text = await response.text();
    const parsed = (text === "" ? undefined : JSON.parse(text)) as never; // of the type that the caller names
    return { status: response.status, headers: response.headers, body: parsed };
  };
}

export async function newBackend(url: string, admin: Call, name: string): Promise<Backend> {
  const made = await admin<ApiKeyCreated>("POST", "/v1/api-keys", { role: "backend", name });
  return backendOf(callAs(url, made.body.secret), made.body.backend_id!);
}

/** With a key that there is. */
export function backendOf(call: Call, id: string): Backend {
  const post: Backend["post"] = (request, idempotencyKey = crypto.randomUUID()) =>
    call("POST", "/v1/intents", request, { "idempotency-key": idempotencyKey });
  return {
    id,
    call,
    post,
    async broadcast(request) {
      const { status, body } = await post({ ...anIntent, ...request });
      if (status !== 202) throw new Error(`${status} ${JSON.stringify(body)}`);
      return body.id;
    },
  };
}

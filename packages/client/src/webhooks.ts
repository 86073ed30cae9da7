// Verbs of a backend on its own webhooks.

import type {
  RecoverAccepted,
  WebhookAttempts,
  WebhookChange,
  WebhookCreated,
  WebhookRequest,
  WebhookSecret,
  WebhookTested,
  WebhookView,
} from "@outcry/protocol";
import type { Page } from "./admin.js";
import { call, type HttpDeps, type HttpRequest, queryOf } from "./http.js";

export interface WebhooksClient {
  /** Its `secret` is shown here and never again. */
  create(request: WebhookRequest): Promise<WebhookCreated>;
  list(): Promise<Page<WebhookView>>;
  get(id: string): Promise<WebhookView>;
  update(id: string, change: WebhookChange): Promise<WebhookView>;
  remove(id: string): Promise<void>;
  attempts(id: string, limit?: number): Promise<WebhookAttempts>;
  /** Sends a signed event now and tells what came back. */
  test(id: string): Promise<WebhookTested>;
  /** Everything since then again, under the same ids. */
  recover(id: string, since: string): Promise<RecoverAccepted>;
  /** A new secret; the one before it signs for another day. */
  rotateSecret(id: string): Promise<WebhookSecret>;
}

export function webhooksClient(http: HttpDeps): WebhooksClient {
  const ask = async <T>(method: HttpRequest["method"], path: string, repeatable: boolean, body?: unknown): Promise<T> =>
    (await call<T>(http, { method, path, repeatable, ...(body === undefined ? {} : { body }) })).value;
  const own = (id: string, rest = "") => `/v1/webhooks/${encodeURIComponent(id)}${rest}`;
  return {
    create: (request) => ask("POST", "/v1/webhooks", false, request),
    list: () => ask("GET", "/v1/webhooks", true),
    get: (id) => ask("GET", own(id), true),
    update: (id, change) => ask("PATCH", own(id), true, change),
    remove: (id) => ask("DELETE", own(id), true),
    attempts: (id, limit) => ask("GET", own(id, `/attempts${queryOf({ limit })}`), true),
    test: (id) => ask("POST", own(id, "/test"), false),
    recover: (id, since) => ask("POST", own(id, "/recover"), false, { since }),
    rotateSecret: (id) => ask("POST", own(id, "/secret"), false),
  };
}

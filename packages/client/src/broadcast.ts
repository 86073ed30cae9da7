// The contract's broadcast(intent, targetNodes) → dispatch receipt ids. The Idempotency-Key makes repeating it safe.

import {
  type AmendRequest,
  type IntentAccepted,
  type IntentAmended,
  type IntentRequest,
  newNonce,
  type Receipt,
} from "@outcry/protocol";
import { call, type HttpDeps } from "./http.js";

export interface BroadcastOptions {
  /** One per intent, repeated on retries; made here when it is not given. */
  idempotencyKey?: string;
  signal?: AbortSignal;
  requestId?: string;
  traceparent?: string;
}

export interface BroadcastResult {
  intentId: string;
  /** One per node that the intent goes to. */
  receiptIds: string[];
  targets: number;
  quoteDeadline: string;
  requestDigest: string;
  /** Paths of the intent's views. */
  links: Readonly<Record<string, string>>;
  /** True when the intent had been posted before under the same key. */
  replayed: boolean;
  idempotencyKey: string;
}

/** The POST alone, without reading the receipts. */
export async function postIntent(
  http: HttpDeps,
  request: IntentRequest,
  targetNodes: readonly string[] | undefined,
  options: BroadcastOptions = {},
): Promise<{ accepted: IntentAccepted; replayed: boolean; idempotencyKey: string }> {
  const idempotencyKey = options.idempotencyKey ?? newNonce();
  const { value, headers } = await call<IntentAccepted>(http, {
    headers: { "x-request-id": options.requestId, traceparent: options.traceparent },
    idempotencyKey,
    repeatable: true,
    signal: options.signal,
    method: "POST",
    path: "/v1/intents",
    body:
      targetNodes === undefined ? request : { ...request, routing: { ...request.routing, targets: [...targetNodes] } },
  });
  return { accepted: value, replayed: headers.get("idempotent-replayed") === "true", idempotencyKey };
}

/** Resolves once the amendment is recorded. */
export async function amend(
  http: HttpDeps,
  intentId: string,
  changes: AmendRequest,
  options: BroadcastOptions = {},
): Promise<IntentAmended & { idempotencyKey: string; replayed: boolean }> {
  const idempotencyKey = options.idempotencyKey ?? newNonce();
  const { value, headers } = await call<IntentAmended>(http, {
    headers: { "x-request-id": options.requestId, traceparent: options.traceparent },
    idempotencyKey,
    repeatable: true,
    signal: options.signal,
    method: "POST",
    path: `/v1/intents/${encodeURIComponent(intentId)}/amend`,
    body: changes,
  });
  return { ...value, replayed: headers.get("idempotent-replayed") === "true", idempotencyKey };
}

/** Resolves once the intent is recorded. A thrown ApiError names the Idempotency-Key to repeat it with. */
export async function broadcast(
  http: HttpDeps,
  request: IntentRequest,
  targetNodes: readonly string[] | undefined,
  options: BroadcastOptions = {},
): Promise<BroadcastResult> {
  const { accepted, replayed, idempotencyKey } = await postIntent(http, request, targetNodes, options);
  const { value: receipts } = await call<{ data: Receipt[] }>(http, {
    headers: { "x-request-id": options.requestId, traceparent: options.traceparent },
    idempotencyKey,
    repeatable: true,
    signal: options.signal,
    method: "GET",
    path: `/v1/intents/${accepted.id}/receipts`,
  });
  return {
    intentId: accepted.id,
    receiptIds: receipts.data.map((receipt) => receipt.receipt_id),
    targets: accepted.targets,
    quoteDeadline: accepted.quote_deadline,
    requestDigest: accepted.request_digest,
    links: accepted.links,
    replayed,
    idempotencyKey,
  };
}

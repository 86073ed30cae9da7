// The contract's broadcast(intent, targetNodes) → dispatch receipt ids. The Idempotency-Key makes repeating it safe.

import { type IntentAccepted, type IntentRequest, newNonce, type Receipt } from "@outcry/protocol";
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
  /** True when the intent had been posted before under the same key. */
  replayed: boolean;
  idempotencyKey: string;
}

/** Resolves once the intent is recorded. A thrown ApiError names the Idempotency-Key to repeat it with. */
export async function broadcast(
  http: HttpDeps,
  request: IntentRequest,
  targetNodes: readonly string[] | undefined,
  options: BroadcastOptions = {},
): Promise<BroadcastResult> {
  const idempotencyKey = options.idempotencyKey ?? newNonce();
  const headers = { "x-request-id": options.requestId, traceparent: options.traceparent };
  const shared = { headers, idempotencyKey, repeatable: true, signal: options.signal };
  const accepted = await call<IntentAccepted>(http, {
    ...shared,
    method: "POST",
    path: "/v1/intents",
    body:
      targetNodes === undefined ? request : { ...request, routing: { ...request.routing, targets: [...targetNodes] } },
  });
  const { value } = accepted;
  const { value: receipts } = await call<{ data: Receipt[] }>(http, {
    ...shared,
    method: "GET",
    path: `/v1/intents/${value.id}/receipts`,
  });
  return {
    intentId: value.id,
    receiptIds: receipts.data.map((receipt) => receipt.receipt_id),
    targets: value.targets,
    quoteDeadline: value.quote_deadline,
    requestDigest: value.request_digest,
    replayed: accepted.headers.get("idempotent-replayed") === "true",
    idempotencyKey,
  };
}

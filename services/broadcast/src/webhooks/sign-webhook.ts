// The headers of Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`, one signature per secret.

import { createHmac } from "node:crypto";

export interface Signable {
  /** Of the event: the same at every attempt. */
  readonly id: string;
  /** Of the attempt: receivers refuse what is older than five minutes, and a retry may come hours later. */
  readonly nowMs: number;
  readonly body: Uint8Array;
}

export function webhookHeaders({ id, nowMs, body }: Signable, secrets: readonly Uint8Array[]): Record<string, string> {
  const timestamp = String(Math.floor(nowMs / 1_000));
  const sign = (secret: Uint8Array) =>
    `v1,${createHmac("sha256", secret).update(`${id}.${timestamp}.`).update(body).digest("base64")}`;
  return {
    "content-type": "application/json",
    "user-agent": "Outcry-Webhooks/1",
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": secrets.map(sign).join(" "),
  };
}

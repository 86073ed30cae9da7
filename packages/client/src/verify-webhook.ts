// The receiving end of a webhook: Standard Webhooks 1.0 with Web Crypto, so it runs in Node, Deno, workers and browsers alike.

import { check, type Clock, Event, OutcryError, systemClock } from "@outcry/protocol";

/** Of a fetch Request, or of node:http. */
export type WebhookHeaders = Headers | Readonly<Record<string, string | readonly string[] | undefined>>;

export interface VerifyOptions {
  /** How far the sender's clock may be off, and how old a copy may be; default 300 as in the specification. */
  toleranceS?: number;
  clock?: Clock;
}

type HmacKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

const TOLERANCE_S = 300;
const SIGNATURES_MAX = 8; // a rotation has two: a long header must not become a long calculation

/**
 * The event, when one of the signatures is right and the attempt is recent. `body` is what arrived, byte for byte: parsed and
 * written anew it is another one. Throws signature_missing, signature_invalid or message_expired. Deal with each `event.id` once.
 */
export async function verifyWebhook(
  body: string | Uint8Array,
  headers: WebhookHeaders,
  secret: string,
  { toleranceS = TOLERANCE_S, clock = systemClock }: VerifyOptions = {},
): Promise<Event> {
  const [id, timestamp, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) =>
    headerOf(headers, name),
  );
  if (!id || !timestamp || !signatures) throw new OutcryError("signature_missing", "A webhook-… header is missing.");
  if (!/^\d{1,12}$/.test(timestamp) || Math.abs(clock.now() / 1_000 - Number(timestamp)) > toleranceS)
    throw new OutcryError("message_expired", "The attempt is too old, or its clock is wrong.");
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const signed = joined(new TextEncoder().encode(`${id}.${timestamp}.`), bytes);
  if (!(await someVerifies(await keyOf(secret), signatures, signed))) throw new OutcryError("signature_invalid");
  const checked = check(Event, JSON.parse(new TextDecoder().decode(bytes)));
  if (checked.kind === "ok") return checked.value as Event;
  throw new OutcryError("validation_failed", "The signed body is no event.", { pointers: checked.pointers });
}

async function someVerifies(key: HmacKey, signatures: string, signed: Uint8Array<ArrayBuffer>): Promise<boolean> {
  for (const one of signatures.split(" ").slice(0, SIGNATURES_MAX)) {
    const [version, text] = one.split(",");
    const signature = version === "v1" ? fromBase64(text ?? "") : undefined;
    // Compared in constant time by the platform.
    if (signature !== undefined && (await crypto.subtle.verify("HMAC", key, signature, signed))) return true;
  }
  return false;
}

function headerOf(headers: WebhookHeaders, name: string): string | undefined {
  if (headers instanceof Headers) return headers.get(name) ?? undefined;
  const [, found] = Object.entries(headers).find(([key]) => key.toLowerCase() === name) ?? [];
  return typeof found === "string" ? found : found?.[0];
}

function keyOf(secret: string): Promise<HmacKey> {
  const bytes = fromBase64(secret.replace(/^whsec_/, ""));
  if (bytes === undefined || bytes.length === 0) throw new OutcryError("config_invalid", "This is no whsec_… secret.");
  return crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined; // another signature of the header may be ours
  }
}

function joined(head: Uint8Array, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}

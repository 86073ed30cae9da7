// The Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header): the same key and body, the same effect and answer.

import { LIMITS, OutcryError } from "@outcry/protocol";

const IDEMPOTENCY_KEY = /^[\x21-\x7e]+$/; // printable ASCII without spaces

export function idempotencyKeyOf(header: string | string[] | undefined): string {
  if (header === undefined) throw new OutcryError("idempotency_key_missing");
  if (typeof header !== "string" || header.length > LIMITS.idempotencyKeyCharsMax || !IDEMPOTENCY_KEY.test(header)) {
    throw new OutcryError("idempotency_key_invalid");
  }
  return header;
}

// A node's word that it has an intent. Its bytes hold no signature: the connection's permissions name the node, the digest binds the
// intent (DESIGN "Envelope"). Where signed acks are taken (ADR-11), the signature is a header beside them.
// All nodes that accept one attempt send the very same bytes.

import Type, { type Static } from "typebox";
import { Digest, PROTOCOL, PROTOCOL_VERSION } from "./envelope.js";
import { LIMITS } from "./limits.js";

/** Why no quote will follow (declined) or why the intent is not acceptable (rejected). */
export const DECLINE_REASONS = [
  "no_inventory",
  "below_minimum",
  "not_serviceable",
  "too_late",
  "not_authorised",
  "capacity",
  "policy",
  "pass",
  "invalid_intent",
] as const;
export type DeclineReason = (typeof DECLINE_REASONS)[number];

export const Ack = Type.Object({
  protocol: Type.Literal(PROTOCOL),
  version: Type.Literal(PROTOCOL_VERSION),
  request_digest: Digest,
  attempt: Type.Integer({ minimum: 1, maximum: LIMITS.attemptsCeiling }),
  status: Type.Union([Type.Literal("accepted"), Type.Literal("declined"), Type.Literal("rejected")]),
  reason: Type.Optional(Type.Enum(DECLINE_REASONS)),
});
export type Ack = Static<typeof Ack>;

/** What a service does with an ack's signature: ignores it, verifies it where there is one, or takes no ack without. */
export const SIGNED_ACKS = ["off", "accept", "require"] as const;
export type SignedAcks = (typeof SIGNED_ACKS)[number];

export function buildAck(requestDigest: string, attempt: number, status: Ack["status"], reason?: DeclineReason): Ack {
  return {
    protocol: PROTOCOL,
    version: PROTOCOL_VERSION,
    request_digest: requestDigest,
    attempt,
    status,
    ...(reason === undefined ? {} : { reason }),
  };
}

// The one shape of every signed message. Answers add in_reply_to and request_digest.

import Type, { type Static, type TSchema } from "typebox";
import { IntentId } from "./id-schemas.js";
import { parseRfc3339, RFC3339_UTC_MS } from "./time.js";

export const PROTOCOL = "outcry.intent_broadcast";
export const PROTOCOL_VERSION = "2026-11-20";

type MessageType = "intent" | "quote" | "cancel" | "credentials" | "node-key";

export const Timestamp = Type.Refine(
  Type.String({ pattern: RFC3339_UTC_MS.source, description: "RFC 3339, UTC, milliseconds" }),
  (text) => !RFC3339_UTC_MS.test(text) || parseRfc3339(text) !== undefined,
  () => "must be a date that exists",
);
export const Digest = Type.String({ pattern: "^sha256:[A-Za-z0-9_-]{43}$", description: "SHA-256, base64url" });
const Nonce = Type.String({ pattern: "^[A-Za-z0-9_-]{22,128}$", description: "at least 128 random bits, base64url" });
export const Token = Type.String({ minLength: 1, maxLength: 128, pattern: "^[A-Za-z0-9_.:-]+$" });

const AnyId = Type.String({ minLength: 1, maxLength: 64 });

const common = <T extends MessageType, I extends TSchema>(type: T, id: I) => ({
  protocol: Type.Literal(PROTOCOL),
  version: Type.Literal(PROTOCOL_VERSION),
  type: Type.Literal(type),
  id,
  trace_id: Type.String({ pattern: "^[0-9a-f]{32}$", description: "W3C trace id" }),
  sender: Type.Object({ id: Token }),
  audience: Type.String({ minLength: 1, maxLength: 128 }),
  created: Timestamp,
  expires: Timestamp,
  nonce: Nonce,
});

export const Envelope = <T extends MessageType, P extends TSchema, I extends TSchema = typeof AnyId>(
  type: T,
  payload: P,
  id: I = AnyId as TSchema as I,
) => Type.Object({ ...common(type, id), payload });

/** An envelope that answers the intent `in_reply_to`, whose bytes have the digest `request_digest`. */
export const Reply = <T extends MessageType, P extends TSchema, I extends TSchema>(type: T, payload: P, id: I) =>
  Type.Object({ ...common(type, id), in_reply_to: IntentId, request_digest: Digest, payload });

type AnyEnvelope = Static<ReturnType<typeof Envelope<MessageType, Type.TUnknown>>>;
/** What all envelopes share, before type and version are known. */
export type Envelope = Omit<AnyEnvelope, "type" | "protocol" | "version"> & {
  protocol: string;
  version: string;
  type: string;
};

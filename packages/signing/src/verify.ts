// Who signed these bytes, or why nobody did. Needs canonical bytes, a header of exactly alg, kid and typ, typ = the envelope's type,
// and a key of sender.id. Of bytes without an envelope (acks) the caller says what they are and whose they must be.
// The rest of the schema, freshness and replay are the caller's next steps.

import {
  type ErrorCode,
  type JsonObject,
  type JsonValue,
  parseCanonical,
  type ParseLimits,
  type ParseRefusal,
  parseStrict,
} from "@outcry/protocol";
import { curve } from "#curve";
import { decodeBase64Url, signingInput } from "./base64url.js";
import type { Algorithm } from "./curve.js";
import type { KeySource, VerificationKey } from "./public-key.js";
import { typOf } from "./sign.js";

export type SignatureRefusal = Extract<
  ErrorCode,
  | "signature_missing"
  | "signature_malformed"
  | "signature_invalid"
  | "signature_type_mismatch"
  | "key_unknown"
  | "key_not_of_sender"
  | "algorithm_unsupported"
>;

/** An envelope of which only what the signature needs has been looked at. */
export type SignedEnvelope = JsonObject & {
  type: string;
  sender: { id: string };
  id?: JsonValue;
  created?: JsonValue;
  expires?: JsonValue;
};

export type Verdict =
  | { kind: "verified"; envelope: SignedEnvelope; kid: string; sender: string; alg: Algorithm }
  | { kind: "refused"; code: SignatureRefusal | ParseRefusal; detail: string };

type Refused = Extract<Verdict, { kind: "refused" }>;
type UnreadSignature = Extract<BareVerdict, { kind: "refused" }>;
/** A signature as it came, and the key that its header names. */
interface NamedSignature {
  kind: "named";
  encodedHeader: string;
  typ: string;
  key: VerificationKey;
  signature: Uint8Array;
}
interface Claim {
  kind: "claimed";
  envelope: SignedEnvelope;
  key: VerificationKey;
  input: Uint8Array;
  signature: Uint8Array;
}

const JWS_CHARS_MAX = 1_024; // a header with a 128-character kid and a signature need 350
const INVALID: UnreadSignature = {
  kind: "refused",
  code: "signature_invalid",
  detail: "the signature is not of these bytes",
};

const refused = <C extends Refused["code"]>(code: C, detail: string) => ({ kind: "refused" as const, code, detail });

export function verifyEnvelope(
  bytes: Uint8Array,
  jws: string | undefined,
  keys: KeySource,
  limits?: ParseLimits,
): Verdict {
  const claim = readClaim(bytes, jws, keys, limits);
  if (claim.kind === "refused") return claim;
  const verify = curve.verify[claim.key.alg];
  if (verify === undefined)
    return refused("algorithm_unsupported", `${claim.key.alg} is verified by verifyEnvelopeAsync here`);
  return verify(claim.key.publicKey, claim.input, claim.signature) ? verified(claim) : INVALID;
}

/** The same verdict from the thread pool: many at once use every core. */
export async function verifyEnvelopeAsync(
  bytes: Uint8Array,
  jws: string | undefined,
  keys: KeySource,
  limits?: ParseLimits,
): Promise<Verdict> {
  const claim = readClaim(bytes, jws, keys, limits);
  if (claim.kind === "refused") return claim;
  const valid = await curve.verifyAsync[claim.key.alg](claim.key.publicKey, claim.input, claim.signature);
  return valid ? verified(claim) : INVALID;
}

/** What bytes without an envelope are, and whose they must be. */
export interface BareBytes {
  bytes: Uint8Array;
  /** As in an envelope's `type`: `ack`. */
  type: string;
  owner: string;
}

export type BareVerdict =
  | { kind: "verified"; kid: string; alg: Algorithm }
  | { kind: "refused"; code: SignatureRefusal; detail: string };

/** From the thread pool. The bytes are taken as they are: that they are canonical, and what they say, is the caller's to check. */
export async function verifyBareAsync(
  { bytes, type, owner }: BareBytes,
  jws: string | undefined,
  keys: KeySource,
): Promise<BareVerdict> {
  const named = readSignature(jws, keys);
  if (named.kind === "refused") return named;
  const { key, typ, encodedHeader, signature } = named;
  if (typ !== typOf(type)) return refused("signature_type_mismatch", `typ is not ${typOf(type)}`);
  if (owner !== key.owner) return refused("key_not_of_sender", `the key is not ${owner}'s`);
  const valid = await curve.verifyAsync[key.alg](key.publicKey, signingInput(encodedHeader, bytes), signature);
  return valid ? { kind: "verified", kid: key.kid, alg: key.alg } : INVALID;
}

function verified({ envelope, key }: Claim): Verdict {
  return { kind: "verified", envelope, kid: key.kid, sender: key.owner, alg: key.alg };
}

/** Everything but the curve: the cheap refusals come before the dear one. */
function readClaim(bytes: Uint8Array, jws: string | undefined, keys: KeySource, limits?: ParseLimits): Claim | Refused {
  const named = readSignature(jws, keys);
  if (named.kind === "refused") return named;
  const { key, typ, encodedHeader, signature } = named;

  const parsed = parseCanonical(bytes, limits);
  if (parsed.kind === "refused") return parsed;
  const envelope = parsed.value as SignedEnvelope | null;
  const type = envelope?.type;
  if (typeof type !== "string" || typ !== typOf(type))
    return refused("signature_type_mismatch", "typ is not that of the envelope's type");
  if (envelope?.sender?.id !== key.owner) return refused("key_not_of_sender", "sender.id is not the key's owner");
  return { kind: "claimed", envelope, key, input: signingInput(encodedHeader, bytes), signature };
}

function readSignature(jws: string | undefined, keys: KeySource): NamedSignature | UnreadSignature {
  if (jws === undefined || jws === "") return refused("signature_missing", "no signature");
  const parts = jws.length <= JWS_CHARS_MAX ? jws.split(".") : [];
  const [encodedHeader, payload, encodedSignature] = parts;
  if (parts.length !== 3 || payload !== "") return refused("signature_malformed", "not header..signature");
  const header = readHeader(encodedHeader!);
  if (typeof header === "string") return refused("signature_malformed", header);
  const signature = decodeBase64Url(encodedSignature!);
  if (signature?.length !== 64)
    return refused("signature_malformed", "the signature is not 64 bytes in exact base64url");

  const key = keys.find(header.kid);
  if (key === undefined) return refused("key_unknown", `kid ${JSON.stringify(header.kid)}`);
  if (header.alg !== key.alg) return refused("algorithm_unsupported", `alg is not ${key.alg}, the key's own`);
  return { kind: "named", encodedHeader: encodedHeader!, typ: header.typ, key, signature };
}

export interface ProtectedHeader {
  alg: string;
  kid: string;
  typ: string;
}

/** The header's members, or what is wrong with it. */
export function readHeader(encoded: string): ProtectedHeader | string {
  const bytes = decodeBase64Url(encoded);
  if (bytes === undefined) return "the header is not exact base64url";
  const parsed = parseStrict(bytes, { depthMax: 2 });
  if (parsed.kind === "refused") return `the header is not strict JSON: ${parsed.code}`;
  const header = parsed.value as Partial<ProtectedHeader> | null;
  const { alg, kid, typ } = header ?? {};
  if (typeof alg !== "string" || typeof kid !== "string" || typeof typ !== "string")
    return "the header lacks alg, kid or typ";
  // RFC 7515 §4.1.11: an unknown crit must be refused; so is anything else that could change what was signed (b64, jwk, x5u …).
  if (Object.keys(header!).length !== 3) return "the header holds more than alg, kid and typ";
  return { alg, kid, typ };
}

// Detached JWS (RFC 7515 appendix F) over canonical bytes. `typ` binds the signature to one message type. Freshness and schemas are not its business.

import { canonicalize, canonicalText, digestOf, type Intent, toBase64Url } from "@outcry/protocol";
import { signingInput } from "./base64url.js";
import type { SigningKey } from "./signing-key.js";

export interface DetachedSignature {
  /** base64url of the protected header. */
  protected: string;
  /** base64url of the 64 bytes. */
  signature: string;
  /** Both as they travel: `protected..signature`. */
  jws: string;
  kid: string;
  alg: "EdDSA";
  typ: string;
  /** Digest of the signed bytes: `request_digest` of the answers. */
  digest: string;
}

/** `typ` of a message type's signature. */
export const typOf = (type: string): string => `ucp-${type}+jws`;

/** Signs an intent's canonical bytes. */
export function signIntent(intent: Intent, privateKey: SigningKey): DetachedSignature {
  return signEnvelope(canonicalize(intent), "intent", privateKey);
}

/** Signs bytes that canonicalize() returned; `type` must be the envelope's, or no verifier takes them. */
export function signEnvelope(bytes: Uint8Array, type: string, key: SigningKey): DetachedSignature {
  const { typ, header, input } = unsigned(bytes, type, key);
  return detached(bytes, typ, header, key, key.privateKey.sign(input));
}

/** The same without keeping this thread. */
export async function signEnvelopeAsync(bytes: Uint8Array, type: string, key: SigningKey): Promise<DetachedSignature> {
  const { typ, header, input } = unsigned(bytes, type, key);
  return detached(bytes, typ, header, key, await key.privateKey.signAsync(input));
}

function unsigned(bytes: Uint8Array, type: string, key: SigningKey) {
  const typ = typOf(type);
  const header = protectedHeader(key, typ);
  return { typ, header, input: signingInput(header, bytes) };
}

function detached(
  bytes: Uint8Array,
  typ: string,
  header: string,
  key: SigningKey,
  made: Uint8Array,
): DetachedSignature {
  const signature = toBase64Url(made);
  return {
    protected: header,
    signature,
    jws: `${header}..${signature}`,
    kid: key.kid,
    alg: key.alg,
    typ,
    digest: digestOf(bytes),
  };
}

export function protectedHeader(key: SigningKey, typ: string): string {
  return toBase64Url(new TextEncoder().encode(canonicalText({ alg: key.alg, kid: key.kid, typ })));
}

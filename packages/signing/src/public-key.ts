// Public keys as others hand them in (RFC 8037 and RFC 7518 JWKs), checked once at the border: exact base64url, on the curve, not weak.
// Verifying repeats the cheap part of the checks; it trusts no registry.

import { Point } from "@noble/ed25519";
import { canonicalize, type PublicKey, sha256, toBase64Url } from "@outcry/protocol";
import { decodeBase64Url } from "./base64url.js";
import type { Algorithm } from "./curve.js";
import { isWeakPoint } from "./ed25519-rule.js";

export interface VerificationKey {
  readonly kid: string;
  /** The one party that may sign with it: `sender.id` of its messages, `iss` of its tokens. */
  readonly owner: string;
  /** Fixes the algorithm; a message's header only repeats it. */
  readonly alg: Algorithm;
  /** 32 bytes (Ed25519) or x ‖ y, 64 bytes (P-256). */
  readonly publicKey: Uint8Array;
}

/** Where verifiers find keys: the registry, a list, a cache of JWKS. */
export interface KeySource {
  find(kid: string): VerificationKey | undefined;
}

/** What checkPublicJwk reads; other members of a JWK are ignored. */
export type PublicKeyInput = Pick<PublicKey, "kty" | "crv" | "x"> & { y?: string | undefined };

export type CheckedKey =
  | { kind: "ok"; alg: Algorithm; publicKey: Uint8Array; thumbprint: string }
  | { kind: "refused"; code: "key_unacceptable"; detail: string };

const refused = (detail: string): CheckedKey => ({ kind: "refused", code: "key_unacceptable", detail });

/** `x` of an Ed25519 JWK: 32 bytes in the one exact base64url form, a point of the curve, canonical, not of small order. */
export function checkPublicKey(x: string): CheckedKey {
  const publicKey = decodeBase64Url(x);
  if (publicKey?.length !== 32) return refused("x is not 32 bytes in exact base64url");
  if (isWeakPoint(publicKey, 0)) return refused("x is of small order or not canonical");
  if (!isEd25519Point(publicKey)) return refused("x is not on the curve");
  return { kind: "ok", alg: "EdDSA", publicKey, thumbprint: thumbprint({ kty: "OKP", crv: "Ed25519", x }) };
}

/** A public JWK of either supported kind. */
export function checkPublicJwk(jwk: PublicKeyInput): CheckedKey {
  if (jwk.kty === "OKP" && jwk.crv === "Ed25519" && jwk.y === undefined) return checkPublicKey(jwk.x);
  if (jwk.kty !== "EC" || jwk.crv !== "P-256") return refused("only OKP with Ed25519 and EC with P-256 are taken");
  const x = decodeBase64Url(jwk.x);
  const y = decodeBase64Url(jwk.y ?? "");
  if (x?.length !== 32 || y?.length !== 32) return refused("x or y is not 32 bytes in exact base64url");
  if (!isP256Point(bigEndian(x), bigEndian(y))) return refused("x and y are not on the curve");
  const publicKey = new Uint8Array(64);
  publicKey.set(x);
  publicKey.set(y, 32);
  return { kind: "ok", alg: "ES256", publicKey, thumbprint: thumbprint(jwk) };
}

/** RFC 7638: the key id that no two keys share. */
export function thumbprint(jwk: PublicKeyInput): string {
  const required =
    jwk.kty === "EC" ? { crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y } : { crv: jwk.crv, kty: jwk.kty, x: jwk.x };
  return toBase64Url(sha256(canonicalize(required)));
}

/** A fixed set of keys. Throws TypeError when two share a kid: one id must not have two owners. */
export function keySource(keys: readonly VerificationKey[]): KeySource {
  const byKid = new Map(keys.map((key) => [key.kid, key]));
  if (byKid.size !== keys.length) throw new TypeError("keySource: two keys share a kid");
  return { find: (kid) => byKid.get(kid) };
}

/** The JWK of a verification key, for JWKS and registrations. */
export function jwkOf(key: VerificationKey): PublicKey {
  const { kid, publicKey } = key;
  if (key.alg === "EdDSA") return { kid, kty: "OKP", crv: "Ed25519", x: toBase64Url(publicKey) };
  return {
    kid,
    kty: "EC",
    crv: "P-256",
    x: toBase64Url(publicKey.subarray(0, 32)),
    y: toBase64Url(publicKey.subarray(32)),
  };
}

function isEd25519Point(bytes: Uint8Array): boolean {
  try {
    Point.fromBytes(bytes);
    return true;
  } catch {
    return false;
  }
}

// FIPS 186-5: y² = x³ − 3x + b over p.
const P256_P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const P256_B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;

function isP256Point(x: bigint, y: bigint): boolean {
  return x < P256_P && y < P256_P && (x * x * x - 3n * x + P256_B - y * y) % P256_P === 0n;
}

function bigEndian(bytes: Uint8Array): bigint {
  return bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

// Our own keys. Private material leaves a key only through privateJwk(); printing, logging or serialising a key shows none of it.

import { parseStrict, type PublicKey, toBase64Url } from "@outcry/protocol";
import { curve } from "#curve";
import { decodeBase64Url } from "./base64url.js";
import type { Ed25519Signer } from "./curve.js";
import { checkPublicKey, jwkOf, thumbprint, type VerificationKey } from "./public-key.js";

export interface SigningKey {
  readonly kid: string;
  readonly alg: "EdDSA";
  readonly publicKey: Uint8Array;
  readonly privateKey: PrivateKey;
}

/** A private Ed25519 JWK (RFC 8037 §2). */
export interface PrivateJwk {
  kty: "OKP";
  crv: "Ed25519";
  x: string;
  d: string;
  kid: string;
}

export class PrivateKey {
  readonly #seed: Uint8Array;
  readonly #signer: Ed25519Signer;

  /** From the 32-byte seed of RFC 8032 §5.1.5. */
  constructor(seed: Uint8Array) {
    if (seed.length !== 32) throw new TypeError("PrivateKey: the seed is not 32 bytes");
    this.#seed = Uint8Array.from(seed);
    this.#signer = curve.createSigner(this.#seed);
  }

  get publicKey(): Uint8Array {
    return this.#signer.publicKey;
  }

  sign(message: Uint8Array): Uint8Array {
    return this.#signer.sign(message);
  }

  /** On another thread where there is one: for whoever has other work to do meanwhile. */
  signAsync(message: Uint8Array): Promise<Uint8Array> {
    return this.#signer.signAsync(message);
  }

  /** The one way out for the seed. */
  reveal(): Uint8Array {
    return Uint8Array.from(this.#seed);
  }

  toString(): string {
    return "[private key]";
  }

  toJSON(): string {
    return "[private key]";
  }
}

/** A fresh key whose kid is its RFC 7638 thumbprint. */
export function generateKey(
  random: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array = (bytes) => crypto.getRandomValues(bytes),
): SigningKey {
  return signingKeyOf(random(new Uint8Array(32)));
}

/** The key of a seed; without a kid its thumbprint is the kid. */
export function signingKeyOf(seed: Uint8Array, kid?: string): SigningKey {
  const privateKey = new PrivateKey(seed);
  const { publicKey } = privateKey;
  const x = toBase64Url(publicKey);
  return { kid: kid ?? thumbprint({ kty: "OKP", crv: "Ed25519", x }), alg: "EdDSA", publicKey, privateKey };
}

/** A key from the text of a private JWK, as a variable or a file holds it. Errors never quote the text. */
export function keyFromText(text: string): SigningKey {
  const parsed = parseStrict(new TextEncoder().encode(text.trim()));
  const { value } = parsed.kind === "ok" ? parsed : { value: null };
  if (value === null || typeof value !== "object" || Array.isArray(value))
    throw new TypeError("the signing key is not a JWK in JSON");
  const { kty, crv, x, d, kid } = value;
  if (kty !== "OKP" || crv !== "Ed25519")
    throw new TypeError("the signing key is not an Ed25519 JWK (kty OKP, crv Ed25519)");
  const seed = typeof d === "string" ? decodeBase64Url(d) : undefined;
  if (seed?.length !== 32) throw new TypeError("the signing key's d is not 32 bytes in exact base64url");
  if (kid !== undefined && typeof kid !== "string") throw new TypeError("the signing key's kid is not a string");
  const key = signingKeyOf(seed, kid);
  if (typeof x !== "string" || toBase64Url(key.publicKey) !== x)
    throw new TypeError("the signing key's x does not belong to its d");
  if (checkPublicKey(x).kind !== "ok") throw new TypeError("the signing key's public half is not acceptable");
  return key;
}

/** The private JWK, for storing and for nothing else. */
export function privateJwk(key: SigningKey): PrivateJwk {
  return {
    kty: "OKP",
    crv: "Ed25519",
    x: toBase64Url(key.publicKey),
    d: toBase64Url(key.privateKey.reveal()),
    kid: key.kid,
  };
}

/** The public half as a node registers it. */
export function publicJwk(key: SigningKey): PublicKey {
  return jwkOf(verificationKey(key, ""));
}

/** The public half as a verifier keeps it. */
export function verificationKey(key: SigningKey, owner: string): VerificationKey {
  return { kid: key.kid, owner, alg: key.alg, publicKey: key.publicKey };
}

/** The key set of RFC 7517 §5, for `/.well-known/jwks.json`. During a rotation it holds the old key and the new one. */
export function jwks(keys: readonly SigningKey[]): { keys: (PublicKey & { alg: string; use: "sig" })[] } {
  return { keys: keys.map((key) => ({ ...publicJwk(key), alg: key.alg, use: "sig" })) };
}

// Ed25519 and P-256 on node:crypto, behind the precheck that makes its verdict the same on every Node version.
// The callback forms run on libuv's pool, so that they use every core.

import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { toBase64Url } from "@outcry/protocol";
import type { Curve, Ed25519Signer } from "./curve.js";
import { passesPrecheck } from "./ed25519-rule.js";

const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex"); // RFC 8410 §7, before the seed
const KEY_OBJECTS_MAX = 4_096; // importing costs as much as verifying; a busy service hears some thousand keys

const keyObjects = new Map<string, KeyObject>();

/** Strict cofactorless verification: one verdict on every Node version and in the browser build. Never throws. */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!passesPrecheck(publicKey, signature)) return false;
  const key = keyObjectOf(publicKey);
  return key !== undefined && verify(null, message, key, signature);
}

function verifyEd25519Async(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const key = passesPrecheck(publicKey, signature) ? keyObjectOf(publicKey) : undefined;
  if (key === undefined) return Promise.resolve(false);
  return new Promise((resolve, reject) => {
    verify(null, message, key, signature, (error, valid) => (error === null ? resolve(valid) : reject(error)));
  });
}

function verifyP256(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const key = isP256Sized(publicKey, signature) ? keyObjectOf(publicKey) : undefined;
  return key !== undefined && verify("sha256", message, { key, dsaEncoding: "ieee-p1363" }, signature);
}

function verifyP256Async(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const key = isP256Sized(publicKey, signature) ? keyObjectOf(publicKey) : undefined;
  if (key === undefined) return Promise.resolve(false);
  return new Promise((resolve, reject) => {
    verify("sha256", message, { key, dsaEncoding: "ieee-p1363" }, signature, (error, valid) =>
      error === null ? resolve(valid) : reject(error),
    );
  });
}

const isP256Sized = (publicKey: Uint8Array, signature: Uint8Array): boolean =>
  publicKey.length === 64 && signature.length === 64;

function createSigner(seed: Uint8Array): Ed25519Signer {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: "der", type: "pkcs8" });
  const { x } = createPublicKey(key).export({ format: "jwk" });
  return {
    publicKey: Uint8Array.from(Buffer.from(x!, "base64url")),
    sign: (message) => Uint8Array.from(sign(null, message, key)),
    signAsync: (message) =>
      new Promise((resolve, reject) => {
        sign(null, message, key, (error, made) => (error === null ? resolve(Uint8Array.from(made)) : reject(error)));
      }),
  };
}

/** Undefined for bytes that are no point of the curve. */
function keyObjectOf(publicKey: Uint8Array): KeyObject | undefined {
  const name = toBase64Url(publicKey);
  const known = keyObjects.get(name);
  if (known !== undefined) return known;
  try {
    const made = createPublicKey({ key: jwkOf(publicKey), format: "jwk" });
    if (keyObjects.size >= KEY_OBJECTS_MAX) keyObjects.delete(keyObjects.keys().next().value!);
    keyObjects.set(name, made);
    return made;
  } catch {
    return undefined;
  }
}

function jwkOf(publicKey: Uint8Array): Record<string, string> {
  if (publicKey.length === 32) return { kty: "OKP", crv: "Ed25519", x: toBase64Url(publicKey) };
  return { kty: "EC", crv: "P-256", x: toBase64Url(publicKey.subarray(0, 32)), y: toBase64Url(publicKey.subarray(32)) };
}

export const curve: Curve = {
  verify: { EdDSA: verifyEd25519, ES256: verifyP256 },
  verifyAsync: { EdDSA: verifyEd25519Async, ES256: verifyP256Async },
  createSigner,
};

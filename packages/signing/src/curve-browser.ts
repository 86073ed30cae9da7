// The same verdicts as curve-node.ts without Node: the cofactorless equation on @noble/ed25519's points (its own verify is cofactored),
// P-256 by Web Crypto, which is asynchronous only. Eleven times slower than node:crypto.

import { getPublicKey, hashes, Point, sign } from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";
import type { Curve, Ed25519Signer } from "./curve.js";
import { passesPrecheck } from "./ed25519-rule.js";

/** Strict cofactorless verification: the same verdict as node:crypto behind the precheck. Never throws. */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!passesPrecheck(publicKey, signature)) return false;
  const key = pointOf(publicKey);
  if (key === undefined) return false;
  const R = signature.subarray(0, 32);
  const S = littleEndian(signature.subarray(32));
  const k = littleEndian(sha512(concat(R, publicKey, message))) % Point.CURVE().n;
  // RFC 8032 §5.1.7 without the cofactor: enc([S]B − [k]A) must be R's very bytes, so R is never decoded.
  const expected = Point.BASE.multiply(S, false).subtract(key.multiply(k, false)).toBytes();
  return expected.every((byte, index) => byte === R[index]);
}

async function verifyP256(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  if (publicKey.length !== 64 || signature.length !== 64) return false;
  const { subtle } = globalThis.crypto;
  try {
    const key = await subtle.importKey(
      "raw",
      concat(Uint8Array.of(4), publicKey),
      { name: "ECDSA", namedCurve: "P-256" },
      false,
      ["verify"],
    );
    return await subtle.verify(
      { name: "ECDSA", hash: "SHA-256" },
      key,
      Uint8Array.from(signature),
      Uint8Array.from(message),
    );
  } catch {
    return false; // bytes that are no point of the curve
  }
}

function createSigner(seed: Uint8Array): Ed25519Signer {
  hashes.sha512 ??= sha512; // noble's synchronous forms take their hash from here
  const secret = Uint8Array.from(seed);
  return {
    publicKey: getPublicKey(secret),
    sign: (message) => sign(message, secret),
    signAsync: (message) => Promise.resolve(sign(message, secret)),
  };
}

function pointOf(bytes: Uint8Array): Point | undefined {
  try {
    return Point.fromBytes(bytes);
  } catch {
    return undefined;
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  let hex = "";
  for (let index = bytes.length - 1; index >= 0; index--) hex += bytes[index]!.toString(16).padStart(2, "0");
  return BigInt(`0x${hex}`);
}

function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export const curve: Curve = {
  verify: { EdDSA: verifyEd25519 },
  verifyAsync: { EdDSA: (...input) => Promise.resolve(verifyEd25519(...input)), ES256: verifyP256 },
  createSigner,
};

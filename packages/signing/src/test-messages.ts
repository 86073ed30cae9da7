// Seeded messages and parties for this package's tests.

import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { canonicalize, canonicalText, toBase64Url } from "@outcry/protocol";
import { decodeBase64Url, signingInput } from "./base64url.js";
import { thumbprint, type VerificationKey } from "./public-key.js";
import { signingKeyOf, type SigningKey, verificationKey } from "./signing-key.js";

export const encoder = new TextEncoder();

export const seededKey = (seed: number, kid?: string): SigningKey => signingKeyOf(new Uint8Array(32).fill(seed), kid);

export interface Party {
  owner: string;
  key: SigningKey;
  verification: VerificationKey;
}

export function party(owner: string, seed: number): Party {
  const key = seededKey(seed);
  return { owner, key, verification: verificationKey(key, owner) };
}

export function envelopeOf(type: string, sender: string): Record<string, unknown> {
  return {
    audience: "outcry",
    created: "2026-11-20T10:00:00.000Z",
    expires: "2026-11-20T10:00:30.000Z",
    id: "int_01h455vb4pex5vsknk084sn02q",
    nonce: "AAAAAAAAAAAAAAAAAAAAAA",
    payload: { note: "grüße 😀", total_minor: 9000 },
    protocol: "outcry.intent_broadcast",
    sender: { id: sender },
    trace_id: "0af7651916cd43dd8448eb211c80319c",
    type,
    version: "2026-11-20",
  };
}

export const bytesOf = (type: string, sender: string): Uint8Array => canonicalize(envelopeOf(type, sender));

/** A JWS with any header and any signature function, for headers that signEnvelope would never write. */
export function jwsWith(header: unknown, bytes: Uint8Array, signWith: (input: Uint8Array) => Uint8Array): string {
  const encoded = toBase64Url(encoder.encode(typeof header === "string" ? header : canonicalText(header)));
  return `${encoded}..${toBase64Url(signWith(signingInput(encoded, bytes)))}`;
}

export interface P256Party {
  verification: VerificationKey;
  jwk: { kty: "EC"; crv: "P-256"; x: string; y: string };
  privateKey: KeyObject;
  sign(input: Uint8Array): Uint8Array;
}

export function p256Party(owner: string): P256Party {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { x, y } = publicKey.export({ format: "jwk" });
  const jwk = { kty: "EC", crv: "P-256", x: x!, y: y! } as const;
  const raw = Uint8Array.from([...decodeBase64Url(jwk.x)!, ...decodeBase64Url(jwk.y)!]);
  return {
    verification: { kid: thumbprint(jwk), owner, alg: "ES256", publicKey: raw },
    jwk,
    privateKey,
    sign: (input) => Uint8Array.from(sign("sha256", input, { key: privateKey, dsaEncoding: "ieee-p1363" })),
  };
}

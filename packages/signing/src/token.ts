// Short access tokens: JWTs (RFC 7519, typ at+jwt of RFC 9068) signed with EdDSA. A message's signature never passes as a token, nor a token's as
// a message's: typ and form differ. Which channels a role may name is the caller's rule.

import { canonicalize, type ErrorCode, LIMITS, parseStrict, sha256, toBase64Url } from "@outcry/protocol";
import { curve } from "#curve";
import { decodeBase64Url, signingInput } from "./base64url.js";
import type { KeySource, VerificationKey } from "./public-key.js";
import { protectedHeader } from "./sign.js";
import type { SigningKey } from "./signing-key.js";
import { readHeader } from "./verify.js";

export interface TokenClaims {
  iss: string;
  aud: string;
  sub: string;
  /** Seconds since the epoch, as RFC 7519 has it. */
  iat: number;
  exp: number;
  jti: string;
  role: string;
  backend?: string;
  channels: string[];
}

export type TokenVerdict =
  | { kind: "verified"; claims: TokenClaims; kid: string }
  | { kind: "refused"; code: Extract<ErrorCode, "credentials_invalid" | "token_expired">; detail: string };

export interface TokenExpectation {
  audience: string;
  /** Must be the token's `iss` and the key's owner: a node's key cannot speak for the service. */
  issuer: string;
}

const TYP = "at+jwt";
const SEEN_MAX = 20_000; // as many as a gateway has connections
const SEEN_CHARS_MAX = 16 * 1024 * 1024; // of their tokens, which their claims are about as large as; 800 each
const encoder = new TextEncoder();
const TOKEN_CHARS_MAX = 8_192; // 32 channel names and the claims; also below common header limits

const invalid = (detail: string): TokenVerdict => ({ kind: "refused", code: "credentials_invalid", detail });

/** Throws TypeError for a life longer than a verifier would take. */
export function mintToken(claims: TokenClaims, key: SigningKey): string {
  if (livesTooLong(claims)) throw new TypeError(`mintToken: exp − iat is beyond ${lifetimeMsMax(claims.role)} ms`);
  const header = protectedHeader(key, TYP);
  const payload = canonicalize(claims);
  return `${header}.${toBase64Url(payload)}.${toBase64Url(key.privateKey.sign(signingInput(header, payload)))}`;
}

interface SeenToken {
  readonly key: VerificationKey;
  readonly claims: TokenClaims;
  readonly chars: number;
}

/** Tokens whose signature was found right: a client that comes back shows the one it had. What they claim is judged each time. */
export class SeenTokens {
  /** By digest; the oldest first. */
  readonly #seen = new Map<string, SeenToken>();
  readonly #charsMax: number;
  #chars = 0;

  constructor({ charsMax = SEEN_CHARS_MAX }: { charsMax?: number } = {}) {
    this.#charsMax = charsMax;
  }

  get size(): number {
    return this.#seen.size;
  }

  /** Undefined where its key is not the one of that name any more. */
  find(token: string, keys: KeySource): SeenToken | undefined {
    const seen = this.#seen.get(digestOf(token));
    return seen !== undefined && keys.find(seen.key.kid) === seen.key ? seen : undefined;
  }

  add(token: string, key: VerificationKey, claims: TokenClaims): void {
    const digest = digestOf(token);
    this.#forget(digest);
    this.#seen.set(digest, { key, claims, chars: token.length });
    this.#chars += token.length;
    for (const oldest of this.#seen.keys()) {
      if (this.#seen.size <= SEEN_MAX && this.#chars <= this.#charsMax) break;
      this.#forget(oldest);
    }
  }

  #forget(digest: string): void {
    this.#chars -= this.#seen.get(digest)?.chars ?? 0;
    this.#seen.delete(digest);
  }
}

const digestOf = (token: string): string => toBase64Url(sha256(encoder.encode(token)));

/** With `seen`, a token is read and its signature verified once per key; equal tokens then have the same claims, by identity. */
export function verifyToken(
  token: string,
  keys: KeySource,
  nowMs: number,
  expected: TokenExpectation,
  seen?: SeenTokens,
): TokenVerdict {
  const known = seen?.find(token, keys);
  if (known !== undefined) return judgeClaims(known.claims, known.key, nowMs, expected);
  const parts = token.length <= TOKEN_CHARS_MAX ? token.split(".") : [];
  if (parts.length !== 3) return invalid("not a compact JWS");
  const [encodedHeader, encodedPayload, encodedSignature] = parts as [string, string, string];
  const header = readHeader(encodedHeader);
  const payload = decodeBase64Url(encodedPayload);
  const signature = decodeBase64Url(encodedSignature);
  if (typeof header === "string") return invalid(header);
  if (payload === undefined || signature?.length !== 64) return invalid("payload or signature is not exact base64url");
  const key = keys.find(header.kid);
  if (key === undefined) return invalid("the key is unknown");
  if (header.typ !== TYP || header.alg !== "EdDSA" || key.alg !== "EdDSA")
    return invalid("typ or alg is not that of our tokens");
  if (!curve.verify.EdDSA!(key.publicKey, signingInput(encodedHeader, payload), signature))
    return invalid("the signature is not of this token");
  const parsed = parseStrict(payload);
  const claims = parsed.kind === "ok" ? (parsed.value as unknown) : undefined;
  if (!areClaims(claims)) return invalid("the claims are incomplete");
  seen?.add(token, key, claims);
  return judgeClaims(claims, key, nowMs, expected);
}

function judgeClaims(
  claims: TokenClaims,
  { owner, kid }: VerificationKey,
  nowMs: number,
  expected: TokenExpectation,
): TokenVerdict {
  if (claims.iss !== expected.issuer || owner !== expected.issuer) return invalid("another issuer's token");
  if (claims.aud !== expected.audience) return invalid("a token for another audience");
  if (livesTooLong(claims)) return invalid("the token lives longer than allowed");
  if (claims.iat * 1_000 > nowMs + LIMITS.clockSkewMs) return invalid("the token is dated in the future");
  if (claims.exp * 1_000 <= nowMs) return { kind: "refused", code: "token_expired", detail: "the token has expired" };
  return { kind: "verified", claims, kid };
}

const livesTooLong = ({ iat, exp, role }: TokenClaims): boolean =>
  exp <= iat || (exp - iat) * 1_000 > lifetimeMsMax(role);

const lifetimeMsMax = (role: string): number => (role === "buyer" ? LIMITS.buyerTokenMs : LIMITS.nodeCredentialsMs);

function areClaims(value: unknown): value is TokenClaims {
  if (value === null || typeof value !== "object") return false;
  const { iss, aud, sub, iat, exp, jti, role, backend, channels } = value as Partial<
    Record<keyof TokenClaims, unknown>
  >;
  return (
    [iss, aud, sub, jti, role].every((claim) => typeof claim === "string") &&
    [iat, exp].every(Number.isSafeInteger) &&
    (backend === undefined || typeof backend === "string") &&
    Array.isArray(channels) &&
    channels.every((channel) => typeof channel === "string")
  );
}

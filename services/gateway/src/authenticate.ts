// The first message's token → a principal: an API key, a buyer's token or a node's.

import { type Clock, isId } from "@outcry/protocol";
import { type SeenTokens, type TokenClaims, verifyToken } from "@outcry/signing";
import type { Authenticated } from "@outcry/ws-gateway";
import type { AccessIndex, ApiKey } from "./access-index.js";
import type { GatewayPrincipal } from "./principal.js";

export const TOKEN_AUDIENCE = "outcry-gateway";

export interface AuthenticateDeps {
  readonly access: AccessIndex;
  readonly serviceId: string;
  readonly clock: Clock;
  readonly seen: SeenTokens;
}

export function authenticate(deps: AuthenticateDeps, token: string): Promise<Authenticated<GatewayPrincipal>> {
  return token.startsWith("ock_") ? byApiKey(deps, token) : Promise.resolve(byToken(deps, token));
}

const INVALID = { kind: "refused", code: "credentials_invalid" } as const;

async function byApiKey({ access }: AuthenticateDeps, secret: string): Promise<Authenticated<GatewayPrincipal>> {
  const key = await access.findApiKey(secret);
  const principal = key === undefined ? undefined : oneOf(key, ofKey);
  return principal === undefined ? INVALID : { kind: "ok", principal };
}

function byToken({ access, serviceId, clock, seen }: AuthenticateDeps, token: string): Authenticated<GatewayPrincipal> {
  const expected = { audience: TOKEN_AUDIENCE, issuer: serviceId };
  const verdict = verifyToken(token, access.signingKeys, clock.now(), expected, seen);
  if (verdict.kind === "refused") return verdict;
  const principal = oneOf(verdict.claims, (claims) => ofToken(claims, verdict.kid));
  return principal === undefined || isRevoked(access, principal) ? INVALID : { kind: "ok", principal };
}

const known = new WeakMap<ApiKey | TokenClaims, GatewayPrincipal>();

/** One principal for all connections that have shown the same. Undefined for who has no place here. */
function oneOf<T extends ApiKey | TokenClaims>(shown: T, make: (shown: T) => GatewayPrincipal | undefined) {
  const principal = known.get(shown) ?? make(shown);
  if (principal !== undefined) known.set(shown, principal);
  return principal;
}

function ofKey({ id, role, backend_id: backendId }: ApiKey): GatewayPrincipal | undefined {
  if (role !== "backend") return { id: `key:${id}`, role, credential: id };
  return backendId === undefined ? undefined : { id: `key:${id}`, role, credential: id, backendId };
}

function ofToken({ role, sub, backend, channels, iat, exp, jti }: TokenClaims, kid: string) {
  const common = { credential: jti, expiresAt: exp * 1_000, kid, issuedAt: iat * 1_000 };
  if (role === "buyer" && backend !== undefined)
    return {
      ...common,
      id: `buyer:${backend}:${sub}`,
      role,
      backendId: backend,
      buyerId: sub,
      channels: new Set(channels),
    } as const;
  return role === "node" && isId("nod", sub)
    ? ({ ...common, id: `node:${sub}`, role, nodeId: sub } as const)
    : undefined;
}

function isRevoked(access: AccessIndex, principal: GatewayPrincipal): boolean {
  if (principal.role === "buyer") return access.revokedBuyers.isRevoked(principal);
  return principal.role === "node" && principal.issuedAt <= access.nodeRevokedUntil(principal.nodeId);
}

// The first message's token → a principal: an API key, a buyer's token or a node's.

import { type Clock, isId } from "@outcry/protocol";
import { type SeenSignatures, verifyToken } from "@outcry/signing";
import type { Authenticated } from "@outcry/ws-gateway";
import type { AccessIndex, ApiKey } from "./access-index.js";
import type { GatewayPrincipal } from "./principal.js";

export const TOKEN_AUDIENCE = "outcry-gateway";

export interface AuthenticateDeps {
  readonly access: AccessIndex;
  readonly serviceId: string;
  readonly clock: Clock;
  readonly seen: SeenSignatures;
}

export function authenticate(deps: AuthenticateDeps, token: string): Promise<Authenticated<GatewayPrincipal>> {
  return token.startsWith("ock_") ? byApiKey(deps, token) : Promise.resolve(byToken(deps, token));
}

const INVALID = { kind: "refused", code: "credentials_invalid" } as const;

async function byApiKey({ access }: AuthenticateDeps, secret: string): Promise<Authenticated<GatewayPrincipal>> {
  const key = await access.findApiKey(secret);
  if (key === undefined) return INVALID;
  const known = ofKeys.get(key) ?? ofKey(key);
  if (known.kind === "ok") ofKeys.set(key, known);
  return known;
}

/** One for all connections with a key. */
const ofKeys = new WeakMap<ApiKey, Authenticated<GatewayPrincipal>>();

function ofKey({ id, role, backend_id: backendId }: ApiKey): Authenticated<GatewayPrincipal> {
  if (role !== "backend") return { kind: "ok", principal: { id: `key:${id}`, role, credential: id } };
  if (backendId === undefined) return INVALID;
  return { kind: "ok", principal: { id: `key:${id}`, role, credential: id, backendId } };
}

function byToken({ access, serviceId, clock, seen }: AuthenticateDeps, token: string): Authenticated<GatewayPrincipal> {
  const expected = { audience: TOKEN_AUDIENCE, issuer: serviceId };
  const verdict = verifyToken(token, access.signingKeys, clock.now(), expected, seen);
  if (verdict.kind === "refused") return verdict;
  const { role, sub, backend, channels, iat, exp, jti } = verdict.claims;
  const common = { credential: jti, expiresAt: exp * 1_000, kid: verdict.kid, issuedAt: iat * 1_000 };
  if (role === "buyer" && backend !== undefined) {
    const principal = {
      ...common,
      id: `buyer:${backend}:${sub}`,
      role,
      backendId: backend,
      buyerId: sub,
      channels: new Set(channels),
    } as const;
    return access.revokedBuyers.isRevoked(principal) ? INVALID : { kind: "ok", principal };
  }
  if (role !== "node" || !isId("nod", sub) || common.issuedAt <= access.nodeRevokedUntil(sub)) return INVALID;
  return { kind: "ok", principal: { ...common, id: `node:${sub}`, role, nodeId: sub } };
}

// Short tokens (JWT): a buyer's, naming channels of the backend that asked, and a node's own. One audience serves gateway and API.

import {
  type Clock,
  isId,
  LIMITS,
  newId,
  OutcryError,
  parseChannel,
  type TokenCreated,
  type TokenRequest,
  toRfc3339,
} from "@outcry/protocol";
import type { AccessBook } from "./access-book.js";
import { issuedFrom } from "./buyer-rights.js";
import { mintToken, type SigningKey, type TokenClaims } from "@outcry/signing";

export const TOKEN_AUDIENCE = "outcry-gateway";

export interface TokenDeps {
  serviceId: string;
  /** Signs; its public half is among the published ones. */
  signingKey: SigningKey;
  clock: Clock;
}

export interface BuyerTokenDeps extends TokenDeps {
  book: AccessBook;
  ownsIntent(backendId: string, intentId: string): Promise<boolean>;
}

/** A buyer's token. A channel that is not the caller's and one that does not exist are refused alike. */
export async function issueBuyerToken(
  deps: BuyerTokenDeps,
  backendId: string,
  request: TokenRequest,
): Promise<TokenCreated> {
  for (const [at, channel] of request.channels.entries())
    await requireOwn(deps, backendId, request.buyer_id, channel, at);
  const earliest = await issuedFrom(deps.book, backendId, request.buyer_id);
  return issue(
    deps,
    request.ttl_ms ?? LIMITS.buyerTokenMs,
    { sub: request.buyer_id, role: "buyer", backend: backendId, channels: request.channels },
    earliest,
  );
}

export function issueNodeToken(deps: TokenDeps, nodeId: string, ttlMs: number): TokenCreated {
  return issue(deps, ttlMs, { sub: nodeId, role: "node", channels: [`node:${nodeId}`] });
}

async function requireOwn(
  deps: BuyerTokenDeps,
  backendId: string,
  buyerId: string,
  channel: string,
  at: number,
): Promise<void> {
  const pointer = `/channels/${at}`;
  const parsed = parseChannel(channel);
  if (parsed === undefined) {
    throw new OutcryError("channel_invalid", undefined, { pointers: [{ pointer, detail: "not <kind>:<id>" }] });
  }
  const { kind, id } = parsed;
  const own =
    (kind === "buyer" && id === buyerId) ||
    (kind === "intent" && isId("int", id) && (await deps.ownsIntent(backendId, id)));
  if (!own)
    throw new OutcryError("channel_forbidden", undefined, {
      pointers: [{ pointer, detail: "does not exist for you" }],
    });
}

type Specific = Pick<TokenClaims, "sub" | "role" | "backend" | "channels">;

/** `earliest`: dated ahead where a revocation covers the present second; verifiers tolerate a minute of it. */
function issue(
  { serviceId, signingKey, clock }: TokenDeps,
  ttlMs: number,
  specific: Specific,
  earliest = 0,
): TokenCreated {
  const iat = Math.max(Math.floor(clock.now() / 1_000), earliest);
  const exp = iat + Math.floor(ttlMs / 1_000);
  const claims = { iss: serviceId, aud: TOKEN_AUDIENCE, iat, exp, jti: newId("con", clock), ...specific };
  return { token: mintToken(claims, signingKey), expires: toRfc3339(exp * 1_000), channels: specific.channels };
}

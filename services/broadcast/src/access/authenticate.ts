// A key or token → the caller it stands for.

import { type Clock, isId, OutcryError } from "@outcry/protocol";
import { type KeySource, verifyToken } from "@outcry/signing";
import type { Authenticate } from "../http/auth.js";
import type { Principal } from "../http/principal.js";
import type { AccessBook } from "./access-book.js";
import { identifyApiKey } from "./api-keys.js";
import { TOKEN_AUDIENCE } from "./tokens.js";

export interface AuthenticateDeps {
  book: AccessBook;
  serviceId: string;
  /** The service's own keys. */
  tokenKeys: KeySource;
  /** A deleted node's token ends with it. */
  nodeExists(nodeId: string): boolean;
  clock: Clock;
}

export function createAuthenticate(deps: AuthenticateDeps): Authenticate {
  return async (credential) => (credential.startsWith("ock_") ? byApiKey(deps, credential) : byToken(deps, credential));
}

async function byApiKey({ book }: AuthenticateDeps, secret: string): Promise<Principal> {
  const key = await identifyApiKey(book, secret);
  if (key === undefined) throw new OutcryError("credentials_invalid");
  return key.backend_id === undefined
    ? { role: key.role, keyId: key.id }
    : { role: key.role, keyId: key.id, backendId: key.backend_id };
}

function byToken(deps: AuthenticateDeps, token: string): Principal {
  const expected = { audience: TOKEN_AUDIENCE, issuer: deps.serviceId };
  const verdict = verifyToken(token, deps.tokenKeys, deps.clock.now(), expected);
  if (verdict.kind === "refused") throw new OutcryError(verdict.code, verdict.detail);
  const { role, sub, backend, channels } = verdict.claims;
  if (role === "buyer" && backend !== undefined) return { role, buyerId: sub, backendId: backend, channels };
  if (role === "node" && isId("nod", sub) && deps.nodeExists(sub)) return { role, nodeId: sub };
  throw new OutcryError("credentials_invalid");
}

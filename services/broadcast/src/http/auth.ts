// Who may call a route: default deny. A route names its roles; a caller proves one of them with `Authorization: Bearer`.

import { isOutcryError, OutcryError, type Role } from "@outcry/protocol";
import type { FastifyRequest } from "fastify";
import type { App, Principal } from "./principal.js";

/** The caller that a key or token stands for; throws credentials_invalid or token_expired. */
export type Authenticate = (credential: string) => Promise<Principal>;

/** `refusalOf`: told of each request that proves nobody; what it returns is the answer instead of the 401. */
export function useAuth(
  app: App,
  authenticate: Authenticate,
  refusalOf: (request: FastifyRequest) => Error | undefined = () => undefined,
): void {
  app.addHook("onRequest", async (request) => {
    if (request.is404) return; // answered the same to everyone
    try {
      await identify(request, authenticate);
    } catch (error) {
      throw (isOutcryError(error) && error.httpStatus === 401 ? refusalOf(request) : undefined) ?? error;
    }
  });
}

async function identify(request: FastifyRequest, authenticate: Authenticate): Promise<void> {
  const { roles, orAnonymous } = request.routeOptions.config;
  if (roles === "public") return;
  const credential = bearerOf(request.headers.authorization);
  if (credential === undefined && orAnonymous === true) return;
  if (credential === undefined) throw new OutcryError("credentials_missing");
  request.principal = await authenticate(credential);
  if (!roles?.includes(request.principal.role as Role)) {
    throw new OutcryError(
      "permission_denied",
      `The role ${request.principal.role} may not; allowed: ${roles?.join(", ") || "none"}.`,
    );
  }
}

const CREDENTIAL_CHARS_MAX = 8_192; // a buyer's token that names many channels fits

function bearerOf(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const [, credential] = /^Bearer +(\S+)$/i.exec(header) ?? [];
  if (credential === undefined || credential.length > CREDENTIAL_CHARS_MAX) {
    throw new OutcryError("credentials_invalid", "Authorization is not `Bearer <key or token>`.");
  }
  return credential;
}

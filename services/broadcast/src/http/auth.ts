// Who may call a route: default deny. A route names its roles; a caller proves one of them with `Authorization: Bearer`.

import { OutcryError, type Role } from "@outcry/protocol";
import type { App, Principal } from "./principal.js";

/** The caller that a key or token stands for; throws credentials_invalid or token_expired. */
export type Authenticate = (credential: string) => Promise<Principal>;

export function useAuth(app: App, authenticate: Authenticate): void {
  app.addHook("onRequest", async (request) => {
    if (request.is404) return; // answered the same to everyone
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
  });
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

// /v1/tokens: a backend gets its buyer a short token for the gateway.

import { TokenCreated, TokenRequest } from "@outcry/protocol";
import { type BuyerTokenDeps, issueBuyerToken } from "../../access/tokens.js";
import { type App, backendOf } from "../principal.js";

export function tokenRoutes(app: App, deps: BuyerTokenDeps): void {
  app.post(
    "/v1/tokens",
    {
      config: { roles: ["backend"], problems: ["channel_forbidden", "channel_invalid"] },
      schema: {
        operationId: "createToken",
        summary: "Make a buyer's token for channels of the caller's own backend",
        tags: ["tokens"],
        body: TokenRequest,
        response: { 201: TokenCreated },
      },
    },
    async (request, reply) =>
      reply.code(201).send(await issueBuyerToken(deps, backendOf(request.principal), request.body)),
  );
}

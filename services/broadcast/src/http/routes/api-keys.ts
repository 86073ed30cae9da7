// /v1/api-keys: admins make, list and revoke keys. A secret is in the answer that made it and nowhere else.

import { ApiKeyCreated, ApiKeyRequest, ApiKeyView, page } from "@outcry/protocol";
import Type from "typebox";
import type { AccessBook } from "../../access/access-book.js";
import { createApiKey, listApiKeys, revokeApiKey } from "../../access/api-keys.js";
import type { App } from "../principal.js";

export function apiKeyRoutes(app: App, { book }: { book: AccessBook }): void {
  app.post(
    "/v1/api-keys",
    {
      config: { roles: ["admin"] },
      schema: {
        operationId: "createApiKey",
        summary: "Make a key; a backend's first key makes the backend",
        tags: ["api-keys"],
        body: ApiKeyRequest,
        response: { 201: ApiKeyCreated },
      },
    },
    async (request, reply) => {
      const { view, secret } = await createApiKey(book, request.body);
      return reply.code(201).send({ ...view, secret });
    },
  );

  app.get(
    "/v1/api-keys",
    {
      config: { roles: ["admin"] },
      schema: {
        operationId: "listApiKeys",
        summary: "All keys, revoked ones too, without their secrets",
        tags: ["api-keys"],
        response: { 200: page(ApiKeyView) },
      },
    },
    async () => ({ data: listApiKeys(book), has_more: false }),
  );

  app.delete(
    "/v1/api-keys/:id",
    {
      config: { roles: ["admin"], problems: ["api_key_not_found", "last_admin_key"] },
      schema: {
        operationId: "revokeApiKey",
        summary: "Revoke a key: at once here, within a second everywhere",
        tags: ["api-keys"],
        params: Type.Object({ id: Type.String() }),
        response: { 204: Type.Null({ description: "Revoked." }) },
      },
    },
    async (request, reply) => {
      await revokeApiKey(book, request.params.id);
      return reply.code(204).send(null);
    },
  );
}

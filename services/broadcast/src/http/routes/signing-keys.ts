// /v1/signing-keys: the service's keys; rotate them, revoke one that was lost (ADR-9). Private halves are in no answer.

import { LIMITS, page, RotationRequest, RotationStarted, SigningKeyView } from "@outcry/protocol";
import Type from "typebox";
import type { SigningKeys } from "../../access/signing-keys.js";
import type { App } from "../principal.js";

const tags = ["signing-keys"];

export function signingKeyRoutes(app: App, { signingKeys }: { signingKeys: SigningKeys }): void {
  app.get(
    "/v1/signing-keys",
    {
      config: { roles: ["admin", "operator"] },
      schema: {
        operationId: "listSigningKeys",
        summary: "The service's keys: next, signing, retiring, revoked",
        tags,
        response: { 200: page(SigningKeyView) },
      },
    },
    async () => ({ data: signingKeys.list(), has_more: false }),
  );

  app.post(
    "/v1/signing-keys",
    {
      config: { roles: ["admin"], problems: ["rotation_unsupported"] },
      preValidation: async (request) => {
        request.body ??= {};
      },
      schema: {
        operationId: "rotateSigningKeys",
        summary: "Make a new key at every process; it is published at once and signs after `lead_ms`",
        tags,
        body: RotationRequest,
        response: { 202: RotationStarted },
      },
    },
    async (request, reply) => {
      const { generation, signsFrom } = await signingKeys.rotate(request.body.lead_ms ?? LIMITS.signingKeyLeadMs);
      return reply.code(202).send({ generation, signs_from: signsFrom });
    },
  );

  app.delete(
    "/v1/signing-keys/:kid",
    {
      config: { roles: ["admin"], problems: ["signing_key_not_found"] },
      schema: {
        operationId: "revokeSigningKey",
        summary: "Revoke a key: nothing that it signed verifies any more; who signs with it takes a new one",
        tags,
        params: Type.Object({ kid: Type.String() }),
        response: { 204: Type.Null({ description: "Revoked." }) },
      },
    },
    async (request, reply) => {
      await signingKeys.revoke(request.params.kid);
      return reply.code(204).send(null);
    },
  );
}

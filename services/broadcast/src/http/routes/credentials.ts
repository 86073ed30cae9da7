// /v1/nodes/{id}/credentials: public, because the signature over the challenge is the proof.

import { isId, LIMITS, NodeCredentials, OutcryError, Timestamp } from "@outcry/protocol";
import Type from "typebox";
import { type CredentialsDeps, issueChallenge, renewCredentials } from "../../registry/credentials.js";
import type { App } from "../principal.js";

const ById = Type.Object({ id: Type.String() });
const Challenge = Type.Object({
  challenge: Type.String(),
  expires: Timestamp,
  service_id: Type.String({ description: "the envelope's `audience`" }),
});
const Signed = Type.Object({
  envelope: Type.String({
    maxLength: LIMITS.quoteBytesMax,
    description: "canonical JSON text of a `credentials` envelope",
  }),
  signature: Type.String({ maxLength: 1_024, description: "detached JWS over its bytes, typ `ucp-credentials+jws`" }),
});
const tags = ["nodes"];

/** Of a proof over a challenge. */
export const PROOF_PROBLEMS = [
  "node_not_found",
  "node_suspended",
  "nonce_invalid",
  "signature_malformed",
  "signature_invalid",
  "signature_type_mismatch",
  "key_unknown",
  "key_not_of_sender",
  "algorithm_unsupported",
  "message_expired",
  "message_future_dated",
  "message_type_wrong",
  "version_unknown",
  "json_not_canonical",
] as const;

export function credentialRoutes(app: App, deps: CredentialsDeps): void {
  app.post(
    "/v1/nodes/:id/credentials/challenge",
    {
      config: { roles: "public", problems: ["node_not_found"] },
      schema: {
        operationId: "createChallenge",
        summary: "A challenge to sign, for one use",
        tags,
        params: ById,
        response: { 201: Challenge },
      },
    },
    async (request, reply) => reply.code(201).send(await issueChallenge(deps, nodeIdIn(request.params))),
  );

  app.post(
    "/v1/nodes/:id/credentials",
    {
      config: {
        roles: "public",
        problems: PROOF_PROBLEMS,
      },
      schema: {
        operationId: "renewCredentials",
        summary: "NATS credentials and a gateway token, against a signed challenge",
        tags,
        params: ById,
        body: Signed,
        response: { 200: NodeCredentials },
      },
    },
    async (request) => renewCredentials(deps, nodeIdIn(request.params), request.body),
  );
}

function nodeIdIn({ id }: { id: string }): string {
  if (!isId("nod", id)) throw new OutcryError("node_not_found");
  return id;
}

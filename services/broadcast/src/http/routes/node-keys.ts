// /v1/nodes/{id}/keys: a node changes its signing keys. Adding is public, because the two signatures are the proof.

import { isId, LIMITS, NodeRecord, OutcryError } from "@outcry/protocol";
import Type from "typebox";
import type { ChangeDeps } from "../../registry/change-node.js";
import type { ProofDeps } from "../../registry/node-proof.js";
import { addNodeKey, retireNodeKey } from "../../registry/rotate-node-key.js";
import type { App } from "../principal.js";
import { PROOF_PROBLEMS } from "./credentials.js";

const jws = (description: string) => Type.String({ maxLength: 1_024, description });
const Added = Type.Object({
  envelope: Type.String({
    maxLength: LIMITS.quoteBytesMax,
    description: "canonical JSON text of a `node-key` envelope with a challenge of /credentials/challenge",
  }),
  signature: jws("detached JWS over its bytes by a registered key, typ `ucp-node-key+jws`"),
  proof: jws("the same by the new key"),
});
const tags = ["nodes"];

export function nodeKeyRoutes(app: App, deps: ChangeDeps & ProofDeps): void {
  app.post(
    "/v1/nodes/:id/keys",
    {
      config: { roles: "public", problems: [...PROOF_PROBLEMS, "key_unacceptable", "node_changed"] },
      schema: {
        operationId: "addNodeKey",
        summary: "Register another key of a node, signed for by an old one and by itself",
        tags,
        params: Type.Object({ id: Type.String() }),
        body: Added,
        response: { 201: Type.Object({ node: NodeRecord }) },
      },
    },
    async (request, reply) =>
      reply.code(201).send({ node: await addNodeKey(deps, nodeIdIn(request.params), request.body) }),
  );

  app.delete(
    "/v1/nodes/:id/keys/:kid",
    {
      config: {
        roles: ["node", "admin"],
        problems: ["node_not_found", "node_key_not_found", "node_key_last", "node_changed"],
      },
      schema: {
        operationId: "retireNodeKey",
        summary: "Retire a key; quotes stored before that stay verified",
        tags,
        params: Type.Object({ id: Type.String(), kid: Type.String() }),
        response: { 200: NodeRecord },
      },
    },
    async (request) => {
      const { role, nodeId } = request.principal;
      const id = nodeIdIn(request.params);
      if (role === "node" && nodeId !== id) throw new OutcryError("node_not_found");
      return retireNodeKey(deps, id, request.params.kid);
    },
  );
}

function nodeIdIn({ id }: { id: string }): string {
  if (!isId("nod", id)) throw new OutcryError("node_not_found");
  return id;
}

// /v1/invites: an admin's leave for one registration without an API key.

import { InviteCreated, InviteRequest } from "@outcry/protocol";
import type { AccessBook } from "../../access/access-book.js";
import { createInvite } from "../../access/invites.js";
import type { App } from "../principal.js";

export function inviteRoutes(app: App, { book }: { book: AccessBook }): void {
  app.post(
    "/v1/invites",
    {
      config: { roles: ["admin"] },
      schema: {
        operationId: "createInvite",
        summary: "Invite one node to register itself",
        tags: ["nodes"],
        body: InviteRequest,
        response: { 201: InviteCreated },
      },
    },
    async (request, reply) => reply.code(201).send(await createInvite(book, request.body)),
  );
}

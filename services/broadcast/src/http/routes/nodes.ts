// /v1/nodes: the registry over HTTP.

import { isId, NodeChange, NodeRecord, NodeRegistration, OutcryError, page } from "@outcry/protocol";
import type { FastifyRequest } from "fastify";
import Type from "typebox";
import type { Kept } from "../../access/watched-records.js";
import { changeNode, type ChangeDeps, deleteNode, resumeNode, suspendNode } from "../../registry/change-node.js";
import { registerNode } from "../../registry/register-node.js";
import { readCursor, writeCursor } from "../cursor.js";
import type { App } from "../principal.js";

const PAGE_DEFAULT = 50;
const PAGE_MAX = 200;

const ById = Type.Object({ id: Type.String() });
const Suspension = Type.Object({ reason: Type.Optional(Type.String({ minLength: 1, maxLength: 500 })) });
const tags = ["nodes"];

export function nodeRoutes(app: App, deps: ChangeDeps): void {
  app.post(
    "/v1/nodes",
    {
      config: { roles: ["admin"], orAnonymous: true, problems: ["invite_invalid", "key_unacceptable", "node_exists"] },
      schema: {
        operationId: "registerNode",
        summary: "Register a node, as an admin or with a single-use invite",
        tags,
        body: NodeRegistration,
        response: { 201: Type.Object({ node: NodeRecord }) },
      },
    },
    async (request, reply) => {
      const node = await registerNode(deps, request.body, request.principal.role === "admin" ? "admin" : "invite");
      return reply.code(201).header("location", `/v1/nodes/${node.id}`).send({ node });
    },
  );

  app.get(
    "/v1/nodes",
    {
      config: { roles: ["admin", "operator"] },
      schema: {
        operationId: "listNodes",
        summary: "Nodes in the order of their ids",
        tags,
        querystring: Type.Object({
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_MAX, default: PAGE_DEFAULT })),
          cursor: Type.Optional(Type.String({ maxLength: 200, description: "`next_cursor` of the page before" })),
          status: Type.Optional(NodeRecord.properties.status),
        }),
        response: { 200: page(NodeRecord) },
      },
    },
    async (request) => {
      const { limit = PAGE_DEFAULT, cursor, status } = request.query;
      const { data, hasMore } = deps.registry.page({
        limit,
        ...(cursor === undefined ? {} : { afterId: readCursor("nod", cursor) }),
        ...(status === undefined ? {} : { status }),
      });
      return { data, has_more: hasMore, ...(hasMore ? { next_cursor: writeCursor(data.at(-1)!.id) } : {}) };
    },
  );

  app.get(
    "/v1/nodes/:id",
    {
      config: { roles: ["admin", "operator", "node"], problems: ["node_not_found"] },
      schema: {
        operationId: "getNode",
        summary: "One node; a node sees itself alone",
        tags,
        params: ById,
        response: { 200: NodeRecord },
      },
    },
    async (request, reply) => {
      const { role, nodeId } = request.principal;
      const id = nodeIdIn(request);
      if (role === "node" && nodeId !== id) throw new OutcryError("node_not_found");
      const kept = await deps.registry.nodes.find(id);
      if (kept === undefined) throw new OutcryError("node_not_found");
      return reply.header("etag", etagOf(kept)).send(kept.value);
    },
  );

  app.patch(
    "/v1/nodes/:id",
    {
      config: { roles: ["admin"], problems: ["node_not_found", "node_changed", "key_unacceptable"] },
      schema: {
        operationId: "changeNode",
        summary: "Replace the named fields; with If-Match only if nobody changed the node since",
        tags,
        params: ById,
        headers: Type.Object({ "If-Match": Type.Optional(Type.String({ description: "ETag of the node as read" })) }),
        body: NodeChange,
        response: { 200: NodeRecord },
      },
    },
    async (request, reply) => {
      const kept = await changeNode(deps, nodeIdIn(request), request.body, expectedRevision(request));
      return reply.header("etag", etagOf(kept)).send(kept.value);
    },
  );

  app.delete(
    "/v1/nodes/:id",
    {
      config: { roles: ["admin"], problems: ["node_not_found", "node_changed"] },
      schema: {
        operationId: "deleteNode",
        summary: "Cut the node off and forget it; its NATS key is not taken again",
        tags,
        params: ById,
        response: { 204: Type.Null({ description: "Deleted." }) },
      },
    },
    async (request, reply) => {
      await deleteNode(deps, nodeIdIn(request));
      return reply.code(204).send(null);
    },
  );

  app.post(
    "/v1/nodes/:id/suspend",
    {
      config: { roles: ["admin"], problems: ["node_not_found", "node_changed"] },
      // A suspension without a body is one without a reason.
      preValidation: async (request) => {
        request.body ??= {};
      },
      schema: {
        operationId: "suspendNode",
        summary: "Cut the node's connection and send it no intents; holds until it is resumed",
        tags,
        params: ById,
        body: Suspension,
        response: { 200: NodeRecord },
      },
    },
    async (request) => (await suspendNode(deps, nodeIdIn(request), request.body.reason)).value,
  );

  app.post(
    "/v1/nodes/:id/resume",
    {
      config: { roles: ["admin"], problems: ["node_not_found", "node_changed"] },
      schema: {
        operationId: "resumeNode",
        summary: "Let a suspended node in again; it needs new credentials",
        tags,
        params: ById,
        response: { 200: NodeRecord },
      },
    },
    async (request) => (await resumeNode(deps, nodeIdIn(request))).value,
  );
}

/** What is no node's id names no node; it never becomes a key of the bucket. */
function nodeIdIn(request: FastifyRequest): string {
  const { id } = request.params as { id: string };
  if (!isId("nod", id)) throw new OutcryError("node_not_found");
  return id;
}

const etagOf = ({ revision }: Kept<unknown>): string => `"${revision}"`;

function expectedRevision(request: FastifyRequest): number | undefined {
  const header = request.headers["if-match"];
  if (header === undefined || header === "*") return undefined;
  const [, revision] = /^"(\d{1,15})"$/.exec(header) ?? [];
  if (revision === undefined) throw new OutcryError("request_invalid", "If-Match is not the ETag of a node.");
  return Number(revision);
}

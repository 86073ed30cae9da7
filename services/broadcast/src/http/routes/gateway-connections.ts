// /v1/gateway/connections: what is connected to the gateway, in all its processes, and the end of one connection.

import {
  ConnectionPage,
  ConnectionQuery,
  ConnectionView,
  type ConnectionView as View,
  isId,
  type Log,
  OutcryError,
} from "@outcry/protocol";
import Type from "typebox";
import type { GatewayProcesses } from "../../gateway/gateway-processes.js";
import { readCursor, writeCursor } from "../cursor.js";
import { type App, callerOf } from "../principal.js";

const PAGE_DEFAULT = 50;
const Params = Type.Object({ id: Type.String({ maxLength: 64 }) });

export function gatewayConnectionRoutes(app: App, { gateways, log }: { gateways: GatewayProcesses; log: Log }): void {
  app.get(
    "/v1/gateway/connections",
    {
      config: { roles: ["operator", "admin"] },
      schema: {
        operationId: "listConnections",
        summary: "Connections of all gateway processes, newest first",
        tags: ["gateway"],
        querystring: ConnectionQuery,
        response: { 200: ConnectionPage },
      },
    },
    (request) => listConnections(gateways, request.query),
  );

  app.get(
    "/v1/gateway/connections/:id",
    {
      config: { roles: ["operator", "admin"], problems: ["connection_not_found"] },
      schema: {
        operationId: "getConnection",
        summary: "One connection with its subscriptions and how far each is",
        tags: ["gateway"],
        params: Params,
        response: { 200: ConnectionView },
      },
    },
    (request) => findConnection(gateways, "get", request.params.id),
  );

  app.delete(
    "/v1/gateway/connections/:id",
    {
      config: { roles: ["admin"], problems: ["connection_not_found"] },
      schema: {
        operationId: "kickConnection",
        summary: "End a connection; its client does not come back by itself (close code 4504)",
        tags: ["gateway"],
        params: Params,
        response: { 204: Type.Null({ description: "Ended." }) },
      },
    },
    async (request, reply) => {
      const { id, principal } = await findConnection(gateways, "kick", request.params.id);
      log.info({ connection: id, principal, by: callerOf(request.principal) }, "gateway: a connection was kicked");
      return reply.code(204).send(null);
    },
  );
}

async function listConnections(gateways: GatewayProcesses, query: ConnectionQuery): Promise<ConnectionPage> {
  const { limit = PAGE_DEFAULT, cursor, ...filter } = query;
  const before = cursor === undefined ? {} : { before: readCursor("con", cursor) };
  const { answers, silent } = await gateways.ask({ kind: "list", filter, limit, ...before });
  const all = answers.flatMap(({ connections }) => connections).sort((one, other) => (one.id < other.id ? 1 : -1));
  const data = all.slice(0, limit);
  const matched = answers.reduce((sum, answer) => sum + answer.matched, 0);
  const hasMore = matched > data.length;
  return {
    data,
    has_more: hasMore,
    ...(hasMore ? { next_cursor: writeCursor(data.at(-1)!.id) } : {}),
    matched,
    processes: { answered: answers.length, silent },
  };
}

/** Which process has it is not known: all are asked. */
async function findConnection(gateways: GatewayProcesses, kind: "get" | "kick", id: string): Promise<View> {
  if (!isId("con", id)) throw new OutcryError("connection_not_found");
  const { answers, silent } = await gateways.ask({ kind, id }, ({ connection }) => connection !== undefined);
  const found = answers.find(({ connection }) => connection !== undefined)?.connection;
  if (found !== undefined) return found;
  if (silent > 0)
    throw new OutcryError(
      "dependency_unavailable",
      `${silent} gateway processes did not answer; the others have no such connection.`,
    );
  throw new OutcryError("connection_not_found");
}

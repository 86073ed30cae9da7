// Upgrades on a Fastify server: `/v1/ws` goes to the gateway, every other path is refused unless someone else listens too.
// Attached to the HTTP server itself: an upgraded socket must not keep a Fastify request alive.

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { refuseUpgrade } from "@outcry/ws-gateway";
import type { Gateway } from "./create-gateway.js";

export const SOCKET_PATH = "/v1/ws";

type OnUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** What the plugin uses of a Fastify instance, whatever its type provider and server. */
export interface SocketHost {
  readonly server: {
    on(event: "upgrade", listener: OnUpgrade): unknown;
    off(event: "upgrade", listener: OnUpgrade): unknown;
    listenerCount(event: "upgrade"): number;
  };
  addHook(name: "preClose", hook: () => Promise<void>): unknown;
}

/** Fastify plugin. Stops the gateway before the server closes. */
export async function gatewayPlugin(app: SocketHost, { gateway }: { gateway: Gateway }): Promise<void> {
  attachUpgrade(app, () => gateway);
  app.addHook("preClose", () => gateway.stop());
}

/** `find` gives undefined while there is no gateway yet. */
export function attachUpgrade({ server }: Pick<SocketHost, "server">, find: () => Gateway | undefined): () => void {
  const onUpgrade: OnUpgrade = (request, socket, head) => {
    const path = request.url?.split("?", 1)[0];
    if (path === SOCKET_PATH) {
      const gateway = find();
      if (gateway !== undefined) gateway.engine.handleUpgrade(request, socket, head);
      else refuseUpgrade(socket, { status: 503, code: "dependency_unavailable", detail: "the gateway is starting" });
    } else if (server.listenerCount("upgrade") === 1) refuseUpgrade(socket, { status: 404, code: "route_not_found" });
  };
  server.on("upgrade", onUpgrade);
  return () => void server.off("upgrade", onUpgrade);
}

// The gateway's paths on a Fastify server: upgrades on `/v1/ws`, other paths refused unless someone else listens too, and requests on
// `/v1/stream`. Attached to the HTTP server itself: what stays open for hours must not keep a Fastify request alive. (A Fastify that
// listens on the name `localhost` opens a second server for its second address, which has no streams: listen on an address.)

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { refuseUpgrade, refuseWhileStarting } from "@outcry/ws-gateway";
import type { Gateway } from "./create-gateway.js";

export const SOCKET_PATH = "/v1/ws";
export const STREAM_PATH = "/v1/stream";

type OnUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
type OnRequest = (request: IncomingMessage, response: ServerResponse) => void;

/** What the plugin uses of a Fastify instance, whatever its type provider and server. */
export interface SocketHost {
  readonly server: {
    on(event: "upgrade", listener: OnUpgrade): unknown;
    on(event: "request", listener: OnRequest): unknown;
    off(event: "upgrade", listener: OnUpgrade): unknown;
    listenerCount(event: "upgrade"): number;
    /** Fastify's own, to which every other path goes on. */
    rawListeners(event: "request"): unknown[];
    removeAllListeners(event: "request"): unknown;
  };
  addHook(name: "preClose", hook: () => Promise<void>): unknown;
}

/** Fastify plugin. Stops the gateway before the server closes. */
export async function gatewayPlugin(app: SocketHost, { gateway }: { gateway: Gateway }): Promise<void> {
  attachUpgrade(app, () => gateway);
  attachStreams(app, () => gateway);
  app.addHook("preClose", () => gateway.stop());
}

/** `find` gives undefined while there is no gateway yet. */
export function attachUpgrade({ server }: Pick<SocketHost, "server">, find: () => Gateway | undefined): () => void {
  const onUpgrade: OnUpgrade = (request, socket, head) => {
    if (pathOf(request) === SOCKET_PATH) {
      const gateway = find();
      if (gateway !== undefined) gateway.engine.handleUpgrade(request, socket, head);
      else refuseUpgrade(socket, { status: 503, code: "dependency_unavailable", detail: "the gateway is starting" });
    } else if (server.listenerCount("upgrade") === 1) refuseUpgrade(socket, { status: 404, code: "route_not_found" });
  };
  server.on("upgrade", onUpgrade);
  return () => void server.off("upgrade", onUpgrade);
}

/** As attachUpgrade, before Fastify's own listener. */
export function attachStreams({ server }: Pick<SocketHost, "server">, find: () => Gateway | undefined): void {
  const others = server.rawListeners("request") as OnRequest[];
  server.removeAllListeners("request");
  server.on("request", (request, response) => {
    if (pathOf(request) !== STREAM_PATH) return others.forEach((other) => other.call(server, request, response));
    const gateway = find();
    if (gateway === undefined) refuseWhileStarting(request, response);
    else void gateway.engine.handleStream(request, response);
  });
}

const pathOf = ({ url }: IncomingMessage): string | undefined => url?.split("?", 1)[0];

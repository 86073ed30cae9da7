// The gateway's paths on a Fastify server: upgrades by wire protocol, other upgrades refused unless someone else listens too, and
// requests on the paths of streams and long polls. Attached to the HTTP server itself: what stays open for hours must not keep a Fastify request alive.
// (A Fastify that listens on the name `localhost` opens a second server for its second address, which has no streams: listen on an address.)

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { refuseUpgrade, refusePollWhileStarting, refuseWhileStarting, type SocketProtocol } from "@outcry/ws-gateway";
import type { Gateway } from "./create-gateway.js";
import { GATEWAY_PATHS, type GatewayPaths } from "./paths.js";

type OnUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
type OnRequest = (request: IncomingMessage, response: ServerResponse) => void;

/** What the plugin uses of a Fastify instance, whatever its type provider and server. */
export interface SocketHost {
  readonly server: {
    on(event: "upgrade", listener: OnUpgrade): unknown;
    on(event: "request", listener: OnRequest): unknown;
    listenerCount(event: "upgrade"): number;
    /** Fastify's own, to which every other path goes on. */
    rawListeners(event: "request"): unknown[];
    removeAllListeners(event: "request"): unknown;
  };
  addHook(name: "preClose", hook: () => Promise<void>): unknown;
}

export interface GatewayPluginOptions {
  readonly gateway: Gateway;
  readonly paths?: Partial<GatewayPaths>;
}

/** Fastify plugin. Stops the gateway before the server closes. */
export async function gatewayPlugin(app: SocketHost, { gateway, paths = {} }: GatewayPluginOptions): Promise<void> {
  attachGateway(app, () => gateway, { ...GATEWAY_PATHS, ...paths });
  app.addHook("preClose", () => gateway.stop());
}

/** `find` gives undefined while there is no gateway yet. */
export function attachGateway(
  host: Pick<SocketHost, "server">,
  find: () => Gateway | undefined,
  paths: GatewayPaths = GATEWAY_PATHS,
): void {
  attachUpgrades(host, find, paths);
  attachRequests(host, find, paths);
}

function attachUpgrades({ server }: Pick<SocketHost, "server">, find: () => Gateway | undefined, paths: GatewayPaths) {
  const protocols = new Map<string, SocketProtocol>([
    [paths.native, "native"],
    [paths.phoenix, "phoenix"],
    [paths.centrifugo, "centrifugo"],
  ]);
  server.on("upgrade", (request, socket, head) => {
    const protocol = protocols.get(pathOf(request));
    const gateway = find();
    if (protocol === undefined) {
      if (server.listenerCount("upgrade") === 1) refuseUpgrade(socket, { status: 404, code: "route_not_found" });
    } else if (gateway !== undefined) gateway.engine.handleUpgrade(protocol, request, socket, head);
    else refuseUpgrade(socket, { status: 503, code: "dependency_unavailable", detail: "the gateway is starting" });
  });
}

/** Before Fastify's own listener. */
function attachRequests(
  { server }: Pick<SocketHost, "server">,
  find: () => Gateway | undefined,
  { stream, longPoll }: GatewayPaths,
): void {
  const others = server.rawListeners("request") as OnRequest[];
  server.removeAllListeners("request");
  server.on("request", (request, response) => {
    const path = pathOf(request);
    if (path !== stream && path !== longPoll) return others.forEach((other) => other.call(server, request, response));
    const gateway = find();
    if (gateway === undefined) {
      if (path === stream) refuseWhileStarting(request, response);
      else refusePollWhileStarting(response);
    } else if (path === stream) void gateway.engine.handleStream(request, response);
    else void gateway.engine.handleLongPoll(request, response);
  });
}

const pathOf = ({ url = "" }: IncomingMessage): string => url.split("?", 1)[0]!;

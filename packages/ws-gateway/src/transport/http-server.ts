// Bounds of the HTTP server that carries upgrades and streams: until a request is whole, nothing else looks at its socket.

import type { ServerOptions } from "node:http";
import { GATEWAY_LIMITS, type GatewayLimits } from "../limits.js";

/** For `createServer`. Set `server.maxConnections` to `socketsMax`, too. */
export function httpServerOptions(limits: GatewayLimits = GATEWAY_LIMITS) {
  return {
    maxHeaderSize: limits.headersBytesMax, // beyond it 431
    headersTimeout: limits.headersMs, // behind it 408, also for a socket that says nothing
    requestTimeout: limits.headersMs, // no request of the gateway has a body
    connectionsCheckingInterval: limits.headersCheckMs,
  } satisfies ServerOptions;
}

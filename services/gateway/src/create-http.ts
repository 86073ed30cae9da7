// The HTTP server of the gateway as a process of its own, with the bounds of packages/ws-gateway/src/limits.ts.

import { readFileSync } from "node:fs";
import { type Config, endConnectionsOnClose } from "@outcry/runtime";
import { GATEWAY_LIMITS, type GatewayLimits, httpServerOptions } from "@outcry/ws-gateway";
import { fastify, type FastifyInstance } from "fastify";

export function createHttp(
  { tlsCertFile, tlsKeyFile }: Pick<Config, "tlsCertFile" | "tlsKeyFile">,
  limits: GatewayLimits = GATEWAY_LIMITS,
): FastifyInstance {
  const http = httpServerOptions(limits);
  const common = {
    logger: false,
    pluginTimeout: 30_000, // longer than the first connection to NATS is tried
    requestTimeout: http.requestTimeout, // Fastify sets it anew
  };
  const app =
    tlsCertFile === undefined || tlsKeyFile === undefined
      ? fastify({ ...common, http })
      : fastify({ ...common, https: { ...http, ...tlsOptions(tlsCertFile, tlsKeyFile, limits) } });
  app.server.maxConnections = limits.socketsMax;
  endConnectionsOnClose(app);
  return app as FastifyInstance;
}

const tlsOptions = (certFile: string, keyFile: string, { headersMs }: GatewayLimits) => ({
  cert: readFileSync(certFile),
  key: readFileSync(keyFile),
  handshakeTimeout: headersMs, // Node's own is 120 s
});

// The HTTP server of the gateway as a process of its own, with the bounds of packages/ws-gateway/src/limits.ts.

import { readFileSync } from "node:fs";
import type { Config } from "@outcry/runtime";
import { GATEWAY_LIMITS, httpServerOptions } from "@outcry/ws-gateway";
import { fastify, type FastifyInstance } from "fastify";

export function createHttp({ tlsCertFile, tlsKeyFile }: Pick<Config, "tlsCertFile" | "tlsKeyFile">): FastifyInstance {
  const http = httpServerOptions();
  const common = {
    logger: false,
    pluginTimeout: 30_000, // longer than the first connection to NATS is tried
    requestTimeout: http.requestTimeout, // Fastify sets it anew
  };
  const app =
    tlsCertFile === undefined || tlsKeyFile === undefined
      ? fastify({ ...common, http })
      : fastify({ ...common, https: { ...http, cert: readFileSync(tlsCertFile), key: readFileSync(tlsKeyFile) } });
  app.server.maxConnections = GATEWAY_LIMITS.socketsMax;
  return app as FastifyInstance;
}

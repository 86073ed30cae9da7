// The gateway as a process of its own: `/v1/ws`, health and metrics.

import { readFileSync } from "node:fs";
import { OutcryError } from "@outcry/protocol";
import { checkListener, type Config, opsRoutes, runService } from "@outcry/runtime";
import { fastify, type FastifyInstance } from "fastify";
import { gatewayFromContext } from "./from-context.js";

await runService("gateway", async (context) => {
  const { config, lifecycle, log } = context;
  const listener = checkListener(config);
  if (listener.kind === "refused") throw new OutcryError("config_invalid", `${listener.reason}\n${listener.fix}`);
  const app = createHttp(config);
  lifecycle.onStop("close", "http", () => app.close());
  gatewayFromContext(context, app);
  for (const { path, handler } of opsRoutes(context)) {
    app.get(path, async (_request, reply) => {
      const { status, contentType, body } = await handler();
      return reply.code(status).type(contentType).send(body);
    });
  }
  const url = await app.listen({ host: config.host, port: config.port });
  log.info({ url }, "listening");
});

function createHttp({ tlsCertFile, tlsKeyFile }: Config): FastifyInstance {
  const common = { logger: false, pluginTimeout: 30_000 }; // longer than the first connection to NATS is tried
  if (tlsCertFile === undefined || tlsKeyFile === undefined) return fastify(common);
  const https = { cert: readFileSync(tlsCertFile), key: readFileSync(tlsKeyFile) };
  return fastify({ ...common, https });
}

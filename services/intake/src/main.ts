// The intake service as a process of its own. It listens for nodes on NATS; its HTTP port serves health and metrics alone.

import { endConnectionsOnClose, opsRoutes, runService } from "@outcry/runtime";
import { fastify } from "fastify";
import { intakeFromContext } from "./from-context.js";

await runService("intake", async (context) => {
  await intakeFromContext(context);
  const app = fastify({ logger: false });
  endConnectionsOnClose(app);
  for (const { path, handler } of opsRoutes(context)) {
    app.get(path, async (_request, reply) => {
      const { status, contentType, body } = await handler();
      return reply.code(status).type(contentType).send(body);
    });
  }
  const url = await app.listen({ host: context.config.host, port: context.config.port });
  context.lifecycle.onStop("close", "http", () => app.close());
  context.log.info({ url }, "listening");
});

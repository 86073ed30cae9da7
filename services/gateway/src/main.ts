// The gateway as a process of its own: `/v1/ws`, health and metrics.

import { OutcryError } from "@outcry/protocol";
import { checkListener, opsRoutes, runService } from "@outcry/runtime";
import { createHttp } from "./create-http.js";
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

// The tap keeper as a process of its own: no gateway holds what may create a stream (ADR-13). Health and metrics as every service.

import { OutcryError } from "@outcry/protocol";
import { checkListener, endConnectionsOnClose, opsRoutes, runService } from "@outcry/runtime";
import { fastify } from "fastify";
import { checkTapName, connectAs } from "./connect.js";
import { keepTap } from "./keep-tap.js";

await runService("tap", async (context) => {
  const { config, lifecycle, log } = context;
  const { eventsTap, recordDomain } = config;
  if (eventsTap === undefined) throw new OutcryError("config_invalid", "not set: OUTCRY_EVENTS_TAP");
  checkTapName(eventsTap, recordDomain);
  const listener = checkListener(config);
  if (listener.kind === "refused") throw new OutcryError("config_invalid", `${listener.reason}\n${listener.fix}`);
  const local = await connectAs(context, "tap", undefined);
  const record = await connectAs(context, "tap", recordDomain);
  lifecycle.onStop("close", "nats", async () => {
    await Promise.all([local.close(), record.close()]);
  });
  const keeper = keepTap({ record, local, tap: eventsTap, log });
  lifecycle.onStop("intake", "tap", () => keeper.stop());
  lifecycle.addCheck("tap", () => ({ ok: keeper.trouble === undefined, detail: keeper.trouble ?? "it is there" }));
  const app = fastify({ logger: false });
  endConnectionsOnClose(app);
  lifecycle.onStop("close", "http", () => app.close());
  for (const { path, handler } of opsRoutes(context)) {
    app.get(path, async (_request, reply) => {
      const { status, contentType, body } = await handler();
      return reply.code(status).type(contentType).send(body);
    });
  }
  const url = await app.listen({ host: config.host, port: config.port });
  log.info({ url }, "listening");
});

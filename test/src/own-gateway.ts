// A gateway in the test's own process, beside those that run as processes: with limits of its own, and with another cursor secret, so
// that it takes none of their cursors.

import { connectBackbone, INBOX_PREFIXES } from "@outcry/backbone";
import type { Brokers } from "@outcry/dev";
import { createGateway, type CreateGatewayDeps, gatewayPlugin, GATEWAY_PATHS } from "@outcry/gateway";
import { silentLog, STREAMS, systemClock } from "@outcry/protocol";
import { cursorKeys } from "@outcry/ws-gateway";
import { fastify } from "fastify";

export interface OwnGateway {
  /** Of its WebSocket. */
  readonly url: string;
  isReady(): boolean;
  stop(): Promise<void>;
}

export async function startOwnGateway(
  { nats, auth }: Brokers,
  options: Pick<CreateGatewayDeps, "limits" | "allowedOrigins"> = {},
): Promise<OwnGateway> {
  const backbone = await connectBackbone({
    servers: [nats.url],
    name: "gateway",
    log: silentLog,
    clock: systemClock,
    credentials: { creds: auth.creds.gateway },
    inboxPrefix: INBOX_PREFIXES.gateway,
  });
  const gateway = createGateway({
    backbone,
    stream: STREAMS.events,
    region: "local",
    serviceId: "outcry",
    cursorKeys: cursorKeys("a secret of this gateway alone"),
    clock: systemClock,
    log: silentLog,
    ...options,
  });
  await gateway.start();
  const app = fastify();
  await app.register(gatewayPlugin, { gateway });
  const url = await app.listen({ host: "127.0.0.1", port: 0 });
  return {
    url: `${url.replace("http", "ws")}${GATEWAY_PATHS.native}`,
    isReady: () => gateway.unready === undefined,
    async stop() {
      await app.close();
      await backbone.close();
    },
  };
}

// The gateway service as it is: engine and policy on a plain HTTP server, reading EVENTS as the gateway's own NATS user.

import { type Backbone, connectBackbone, INBOX_PREFIXES, readAuthFolder } from "@outcry/backbone";
import { createGateway, type Gateway } from "@outcry/gateway";
import { STREAMS, systemClock } from "@outcry/protocol";
import { cursorKeys, GATEWAY_LIMITS, type GatewayLimits, httpServerOptions } from "@outcry/ws-gateway";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { BARE_TIMEOUT_MS, type Place, quietLog, SERVICE_ID } from "./place.js";
import { probeVerbs } from "./server-probe.js";

const POLL_MS = 2;

export interface GatewayPlace {
  place: Place;
  /** 0 = any. */
  port: number;
  limits?: Partial<GatewayLimits>;
}

export function gatewayRole() {
  let backbone: Backbone;
  let gateway: Gateway;
  let server: Server;
  const verbs = {
    ...probeVerbs(),
    /** Returns its port. */
    async start({ place: { natsUrl, authDir }, port, limits = {} }: GatewayPlace): Promise<number> {
      const common = { log: quietLog, clock: systemClock };
      backbone = await connectBackbone({
        ...common,
        servers: [natsUrl],
        credentials: { creds: readAuthFolder(authDir).creds.gateway },
        name: "gateway",
        inboxPrefix: INBOX_PREFIXES.gateway,
      });
      gateway = createGateway({
        ...common,
        backbone,
        stream: STREAMS.events,
        region: "local",
        serviceId: SERVICE_ID,
        cursorKeys: cursorKeys("a secret of the bench"),
        limits,
      });
      await gateway.start();
      server = createServer(httpServerOptions());
      server.maxConnections = GATEWAY_LIMITS.socketsMax;
      server.on("upgrade", (request, socket, head) => gateway.engine.handleUpgrade("native", request, socket, head));
      server.listen(port, "127.0.0.1");
      await once(server, "listening");
      return (server.address() as AddressInfo).port;
    },
    async heard(): Promise<number> {
      return gateway.engine.liveLog.counters.heard;
    },
    /** Resolves when so many events have come from NATS since it started. */
    async untilHeard(count: number): Promise<void> {
      const { counters } = gateway.engine.liveLog;
      const untilMs = performance.now() + BARE_TIMEOUT_MS;
      while (counters.heard < count) {
        if (performance.now() > untilMs) throw new Error(`the gateway has heard ${counters.heard} of ${count} events`);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    },
    async counted() {
      const { engine } = gateway;
      return {
        connections: engine.connections,
        queueBytes: engine.queueBytes,
        pages: { ...engine.pages.counters },
        hub: { ...engine.hub.counters },
        log: { ...engine.liveLog.counters },
      };
    },
  };
  return {
    verbs,
    async stop() {
      gateway?.engine.stop();
      server?.closeAllConnections();
      server?.close();
      await backbone?.close();
    },
  };
}

export type GatewayVerbs = ReturnType<typeof gatewayRole>["verbs"];

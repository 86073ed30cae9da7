// The gateway as its configuration says, on the HTTP server of the process, with metrics, readiness and an ordered stop.

import type { Backbone } from "@outcry/backbone";
import { STREAMS, tapStream } from "@outcry/protocol";
import { type Metrics, type ServiceContext, cursorSecretOf } from "@outcry/runtime";
import { type GatewayObserver, cursorKeys } from "@outcry/ws-gateway";
import { checkTapName, connectAs } from "./connect.js";
import { createGateway, type Gateway } from "./create-gateway.js";
import { GATEWAY_PATHS, readPaths } from "./paths.js";
import { attachGateway, type SocketHost } from "./plugin.js";

export interface GatewayHost extends Pick<SocketHost, "server"> {
  addHook(name: "onReady", hook: () => Promise<void>): unknown;
}

/** Connects and begins to serve when the app gets ready; a failure then keeps it from listening. */
export function gatewayFromContext(context: ServiceContext, app: GatewayHost): void {
  const { lifecycle, metrics, log } = context;
  let gateway: Gateway | undefined;
  let connections: Connections | undefined;
  const { gatewayPaths } = context.config;
  attachGateway(app, () => gateway, gatewayPaths === undefined ? GATEWAY_PATHS : readPaths(gatewayPaths));
  app.addHook("onReady", async () => {
    connections = await connect(context);
    gateway = gatewayOn(context, connections);
    // Not awaited: while the stream is not readable the process serves the rest, and readiness says why.
    gateway.start().catch((error: unknown) => log.error({ error: String(error) }, "gateway: it could not start"));
  });
  lifecycle.addCheck("gateway.events", () => {
    const detail = gateway === undefined ? "not connected yet" : gateway.unready;
    return { ok: detail === undefined, detail: detail ?? "the head of the stream is proven" };
  });
  lifecycle.onStop("intake", "gateway", () => gateway?.stop());
  lifecycle.onStop("close", "gateway's nats", async () => {
    await Promise.all([connections?.backbone.close(), connections?.record?.close()]);
  });
  metrics.onScrape(() => {
    if (gateway !== undefined) measure(gateway, metrics);
  });
}

function gatewayOn({ config, clock, log, metrics }: ServiceContext, connections: Connections): Gateway {
  const { eventsTap } = config;
  return createGateway({
    ...connections,
    ...(eventsTap === undefined
      ? { stream: STREAMS.events, region: config.region }
      : { stream: tapStream(eventsTap), region: eventsTap }),
    serviceId: config.senderId,
    cursorKeys: cursorKeys(cursorSecretOf(config)),
    clock,
    log,
    allowedOrigins: config.wsAllowedOrigins,
    observer: observerOf(metrics),
  });
}

interface Connections {
  readonly backbone: Backbone;
  /** With a tap: to the record, maybe in another domain. */
  readonly record?: Backbone;
}

/** As the gateway's own NATS user, which may read the event stream and KV `access` and nothing else. */
async function connect(context: ServiceContext): Promise<Connections> {
  const { eventsTap, recordDomain } = context.config;
  checkTapName(eventsTap, recordDomain);
  const backbone = await connectAs(context, "gateway", undefined);
  if (eventsTap === undefined) return { backbone };
  try {
    return { backbone, record: await connectAs(context, "gateway", recordDomain) };
  } catch (error) {
    await backbone.close();
    throw error;
  }
}

const ROLES = ["buyer", "node", "backend", "operator", "admin", "anonymous"] as const;

function measure({ engine }: Gateway, metrics: Metrics): void {
  const { roles } = engine;
  for (const role of ROLES) metrics.set("outcry_ws_connections", { role }, roles[role] ?? 0);
  metrics.set("outcry_ws_buffer_bytes", {}, engine.queueBytes);
}

function observerOf(metrics: Metrics): GatewayObserver {
  return {
    closed: (reason) => {
      if (reason !== "by_peer") metrics.count("outcry_ws_dropped_total", { reason });
    },
    resumed: (recovered) => metrics.count("outcry_ws_resume_total", { result: recovered ? "full" : "none" }),
  };
}

// The gateway as its configuration says, on the HTTP server of the process, with metrics, readiness and an ordered stop.

import path from "node:path";
import { type Backbone, connectBackbone, INBOX_PREFIXES, readPrivate } from "@outcry/backbone";
import { OutcryError, STREAMS } from "@outcry/protocol";
import { type Metrics, type ServiceContext, cursorSecretOf } from "@outcry/runtime";
import { type GatewayObserver, cursorKeys } from "@outcry/ws-gateway";
import { createGateway, type Gateway } from "./create-gateway.js";
import { attachGateway, type SocketHost } from "./plugin.js";

export interface GatewayHost extends Pick<SocketHost, "server"> {
  addHook(name: "onReady", hook: () => Promise<void>): unknown;
}

/** Connects and begins to serve when the app gets ready; a failure then keeps it from listening. */
export function gatewayFromContext(context: ServiceContext, app: GatewayHost): void {
  const { lifecycle, metrics, log } = context;
  let gateway: Gateway | undefined;
  let backbone: Backbone | undefined;
  attachGateway(app, () => gateway);
  app.addHook("onReady", async () => {
    backbone = await connect(context);
    gateway = gatewayOn(context, backbone);
    // Not awaited: while the stream is not readable the process serves the rest, and readiness says why.
    gateway.start().catch((error: unknown) => log.error({ error: String(error) }, "gateway: it could not start"));
  });
  lifecycle.addCheck("gateway.events", () => {
    const detail = gateway === undefined ? "not connected yet" : gateway.unready;
    return { ok: detail === undefined, detail: detail ?? "the head of the stream is proven" };
  });
  lifecycle.onStop("intake", "gateway", () => gateway?.stop());
  lifecycle.onStop("close", "gateway's nats", () => backbone?.close());
  metrics.onScrape(() => {
    if (gateway !== undefined) measure(gateway, metrics);
  });
}

function gatewayOn({ config, clock, log, metrics }: ServiceContext, backbone: Backbone): Gateway {
  return createGateway({
    backbone,
    stream: STREAMS.events,
    region: config.region,
    serviceId: config.senderId,
    cursorKeys: cursorKeys(cursorSecretOf(config)),
    clock,
    log,
    allowedOrigins: config.wsAllowedOrigins,
    observer: observerOf(metrics),
  });
}

/** As the gateway's own NATS user, which may read the event stream and KV `access` and nothing else. */
function connect({ config, clock, log }: ServiceContext): Promise<Backbone> {
  const { natsUrl, natsAuthDir, natsTlsCaFile } = config;
  if (natsUrl === undefined || natsAuthDir === undefined) {
    throw new OutcryError("config_invalid", "not set: OUTCRY_NATS_URL or OUTCRY_NATS_AUTH_DIR");
  }
  return connectBackbone({
    servers: natsUrl,
    credentials: { creds: readPrivate(path.join(natsAuthDir, "gateway.creds")) },
    name: "gateway",
    inboxPrefix: INBOX_PREFIXES.gateway,
    ...(natsTlsCaFile === undefined ? {} : { tls: { caFile: natsTlsCaFile } }),
    log,
    clock,
  });
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

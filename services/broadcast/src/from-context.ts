// The broadcast service as its configuration says, with metrics, readiness and an ordered stop.

import { readFileSync } from "node:fs";
import { type Backbone, countMessages } from "@outcry/backbone";
import { platformConfig } from "@outcry/delivery";
import { OutcryError, STREAMS, SUBJECTS } from "@outcry/protocol";
import {
  type Config,
  type Metrics,
  type ServiceContext,
  checkListener,
  cursorSecretOf,
  opsRoutes,
  webhookKeyOf,
} from "@outcry/runtime";
import { keyFromText } from "@outcry/signing";
import { cursorKeys } from "@outcry/ws-gateway";
import { fixedKey, keyFolder } from "./access/key-store.js";
import type { PipelineMetrics } from "./metrics.js";
import { type BroadcastService, startBroadcast } from "./service.js";
import type { WebhookOptions } from "./webhooks/start-webhooks.js";

export interface StartedBroadcast {
  readonly service: BroadcastService;
  readonly url: string;
}

export async function broadcastFromContext(
  context: ServiceContext,
  beforeListen?: (service: BroadcastService) => void,
): Promise<StartedBroadcast> {
  const { config, lifecycle, metrics } = context;
  const listener = checkListener(config);
  if (listener.kind === "refused") throw new OutcryError("config_invalid", `${listener.reason}\n${listener.fix}`);
  const { platform, auth, natsUrls } = platformConfig("broadcast", context);
  const tls = tlsOf(config);
  const service = await startBroadcast({
    platform,
    auth,
    natsUrls,
    keyStore: config.signingKey === undefined ? keyFolder(config.dataDir) : fixedKey(keyFromText(config.signingKey)),
    serviceId: config.senderId,
    ackTimeoutMs: config.ackTimeoutMs,
    ackWindowMs: config.ackWindowMs,
    attemptsMax: config.attemptsMax,
    signedAcks: config.signedAcks,
    quoteWindowMs: config.quoteWindowDefaultMs,
    quotas: {
      deliveriesPerMinute: config.limitDeliveries,
      deliveryBytesPerMinute: config.limitDeliveryBytes,
      requestsPerMinute: config.limitRequests,
      addressRequestsPerMinute: config.limitAddressRequests,
      acksPerMinute: config.limitAcks,
    },
    cursorKeys: cursorKeys(cursorSecretOf(config)),
    webhooks: webhookOptions(config),
    metrics: pipelineMetrics(metrics),
    allowedOrigins: config.wsAllowedOrigins,
    onAnswered: ({ route, status, seconds }) =>
      metrics.observe("outcry_http_request_seconds", { route, status: String(status) }, seconds),
    ...(tls === undefined ? {} : { tls }),
  });
  for (const name of Object.keys(service.checks()))
    lifecycle.addCheck(`broadcast.${name}`, () => service.checks()[name]!);
  lifecycle.onStop("intake", "broadcast", () => service.stop(), { timeoutMs: config.shutdownGraceMs });
  metrics.onScrape(() => readGauges(service, metrics));
  mountOps(service, context);
  beforeListen?.(service);
  return { service, url: await service.listen(config) };
}

function mountOps({ app }: BroadcastService, context: ServiceContext): void {
  for (const { path: url, handler } of opsRoutes(context)) {
    app.get(
      url,
      { config: { roles: "public", forMachines: true }, schema: { hide: true } },
      async (_request, reply) => {
        const { status, contentType, body } = await handler();
        return reply.code(status).type(contentType).serializer(String).send(body);
      },
    );
  }
}

/** What is counted when somebody looks. */
async function readGauges(service: BroadcastService, metrics: Metrics): Promise<void> {
  const { backbone, queue, redis } = service.platform;
  metrics.set("outcry_dependency_up", { name: "nats" }, Number(backbone.health.up));
  metrics.set("outcry_dependency_up", { name: "redis" }, Number(redis.health.up));
  for (const [state, count] of Object.entries(service.nodeCounts())) metrics.set("outcry_nodes", { state }, count);
  metrics.set("outcry_dlq_size", {}, await lettersKept(backbone));
  for (const [state, count] of Object.entries(await queue.counts()))
    metrics.set("outcry_intake_jobs", { state }, count);
}

/** Without what became of them, and without replays. */
async function lettersKept(backbone: Backbone): Promise<number> {
  const letters = [SUBJECTS.allDeadDeliveries, SUBJECTS.allDeadMessages, SUBJECTS.allDeadWebhookEvents];
  const counts = await Promise.all(letters.map((filter) => countMessages(backbone, STREAMS.deadLetters, filter)));
  return counts.reduce((sum, count) => sum + count, 0);
}

function webhookOptions(config: Config): WebhookOptions {
  const ports = config.webhookPorts.map(Number);
  if (ports.some((port) => !Number.isInteger(port) || port < 1 || port > 65_535))
    throw new OutcryError("config_invalid", "OUTCRY_WEBHOOK_PORTS: each is a port number from 1 to 65535");
  return { key: webhookKeyOf(config), rules: { ports, allowPrivate: config.webhookAllowPrivate } };
}

function tlsOf({ tlsCertFile, tlsKeyFile }: Config): { cert: string; key: string } | undefined {
  if (tlsCertFile === undefined || tlsKeyFile === undefined) return undefined;
  return { cert: readFileSync(tlsCertFile, "utf8"), key: readFileSync(tlsKeyFile, "utf8") };
}

function pipelineMetrics(metrics: Metrics): PipelineMetrics {
  return {
    dispatched(intent, tookMs) {
      metrics.observe("outcry_fanout_duration_seconds", {}, tookMs / 1_000);
      metrics.count("outcry_delivery_attempts_total", { reason: "first" }, intent.record.targets.length);
    },
    ack: (status) => metrics.count("outcry_acks_total", { status }),
    ackRefused: (code) => metrics.count("outcry_acks_total", { status: code }),
    retried: (nodes) => metrics.count("outcry_delivery_attempts_total", { reason: "retry" }, nodes),
    caughtUp: (intents) => metrics.count("outcry_delivery_attempts_total", { reason: "catch_up" }, intents),
    replayed: (nodes) => metrics.count("outcry_delivery_attempts_total", { reason: "replay" }, nodes),
    webhookAttempt: (outcome) => metrics.count("outcry_webhook_attempts_total", { outcome }),
    dead: (cause, nodes) => metrics.count("outcry_dead_letters_total", { cause }, nodes),
    ended(outcome, counts) {
      metrics.count("outcry_intents_total", { status: outcome });
      for (const [state, count] of Object.entries(counts))
        if (count > 0) metrics.count("outcry_deliveries_total", { outcome: state }, count);
    },
    amended: (result) => metrics.count("outcry_amendments_total", { result }),
    posted(result) {
      metrics.count("outcry_idempotency_total", { result });
      if (result === "accepted") metrics.count("outcry_intents_total", { status: result });
    },
  };
}

// The broadcast service put together: connections, registry and access in memory, the pipeline, the HTTP app. Stopping is the reverse.

import type { AddressInfo } from "node:net";
import { type AuthFolder, type Backbone, createRevoker } from "@outcry/backbone";
import { type Platform, type PlatformOptions, connectPlatform } from "@outcry/delivery";
import { createNonces } from "@outcry/jobs";
import { LIMITS, type SignedAcks, STREAMS, SUBJECTS } from "@outcry/protocol";
import { CursorCodec, type CursorKey, natsPublisher } from "@outcry/ws-gateway";
import { amendIntent } from "./amend-intent.js";
import { createAccessBook } from "./access/access-book.js";
import { keepSweepingRights } from "./access/buyer-rights.js";
import { claimAdminKey } from "./access/api-keys.js";
import { createBackendLimits } from "./backend-limits.js";
import type { KeyStore } from "./access/key-store.js";
import { createSigningKeys } from "./access/signing-keys.js";
import { endIntent } from "./end-intent.js";
import { type AppDeps, createApp } from "./http/app.js";
import { createCallerLimits } from "./http/caller-limits.js";
import type { App } from "./http/principal.js";
import type { RouteTable } from "./http/route-table.js";
import { amendmentRoutes } from "./http/routes/amendments.js";
import { explainRoutes } from "./http/routes/explain.js";
import { deadLetterRoutes } from "./http/routes/dead-letters.js";
import { channelEventRoutes } from "./http/routes/channel-events.js";
import { gatewayConnectionRoutes } from "./http/routes/gateway-connections.js";
import { eventRoutes } from "./http/routes/events.js";
import { intentRoutes } from "./http/routes/intents.js";
import { replayRoutes } from "./http/routes/replays.js";
import { webhookRoutes } from "./http/routes/webhooks.js";
import { GatewayProcesses } from "./gateway/gateway-processes.js";
import type { PipelineMetrics } from "./metrics.js";
import { startPipeline } from "./pipeline.js";
import { NO_QUOTAS, type Quotas } from "./quotas.js";
import { watchRoom } from "./record-room.js";
import { createRegistry, type Registry } from "./registry/registry.js";
import { createRevocations } from "./registry/revocations.js";
import { createReplayBook } from "./replays/replay-book.js";
import { submitIntent } from "./submit-intent.js";
import { keepTrimming } from "./trim-events.js";
import { markMissed } from "./webhooks/mark-missed.js";
import { startWebhooks, type WebhookOptions } from "./webhooks/start-webhooks.js";

export interface BroadcastOptions {
  platform: PlatformOptions;
  auth: AuthFolder;
  /** NATS URLs as nodes reach them. */
  natsUrls: readonly string[];
  keyStore: KeyStore;
  serviceId: string;
  ackTimeoutMs: number;
  ackWindowMs: number;
  attemptsMax: number;
  /** Absent: off, a signature of an ack is ignored. */
  signedAcks?: SignedAcks;
  /** Of one message of the record before it is set aside; a few seconds each. */
  deliveriesMax?: number;
  /** For intents that name no deadline. */
  quoteWindowMs: number;
  /** Without them nobody is limited. */
  quotas?: Quotas;
  /** The gateway's, so that a cursor is good in both places. */
  cursorKeys: readonly CursorKey[];
  webhooks: WebhookOptions;
  metrics: PipelineMetrics;
  allowedOrigins?: AppDeps["allowedOrigins"];
  onAnswered?: AppDeps["onAnswered"];
  tls?: AppDeps["tls"];
}

export interface BroadcastService {
  readonly app: App;
  readonly routes: RouteTable;
  readonly platform: Platform;
  /** The secret of the admin key, at the very first start of this record only: show it once. */
  readonly adminKey: string | undefined;
  /** Resolves with the base URL. */
  listen(at: { host: string; port: number }): Promise<string>;
  /** Parts that readiness looks at. */
  checks(): Record<string, { ok: boolean; detail: string }>;
  /** Registered nodes by status. */
  nodeCounts(): { active: number; suspended: number };
  stop(): Promise<void>;
}

export async function startBroadcast(options: BroadcastOptions): Promise<BroadcastService> {
  const { auth, quotas = NO_QUOTAS } = options;
  const platform = await connectPlatform(options.platform);
  const { backbone, book, rows, run, clock, log } = platform;
  const stopping = new AbortController();

  const access = await createAccessBook({ bucket: platform.access, clock, log });
  const admin = await claimAdminKey(access);
  const registry = await createRegistry({ bucket: platform.nodes, clock, log });
  const signingKeys = await createSigningKeys({
    book: access,
    store: options.keyStore,
    serviceId: options.serviceId,
    clock,
    log,
    onChange: () => tellKeysChanged(backbone, registry),
  });
  const revoker = createRevoker({ backbone: platform.system ?? backbone, tree: auth.tree, clock });
  const revocations = createRevocations({
    registry,
    book: access,
    revoker,
    log,
    ...(platform.system ? { health: platform.system.health } : {}),
  });
  const room = watchRoom(backbone, [STREAMS.intents, STREAMS.events, STREAMS.quotes, STREAMS.deadLetters], log);

  const beforePurge = (seq: number, beforeMs: number) => markMissed({ backbone, book: access, log }, seq, beforeMs);
  const trimmer = keepTrimming({ backbone, clock, log, beforePurge });

  const nodeStatus = (id: string) => registry.get(id)?.status;
  const replays = createReplayBook({ ...platform, nudge: () => pipeline.nudge() });
  const pipeline = startPipeline(platform, {
    ...options,
    signingKeys,
    acksPerMinute: quotas.acksPerMinute,
    nodeKeysOf: registry.keysOf,
    replays,
    nodeStatus,
  });
  const counting = { store: platform.redis, clock, log };
  const limits = createBackendLimits(quotas, counting);
  const callerLimits = createCallerLimits(quotas, counting);
  const { app, routes } = await createApp({
    log,
    clock,
    serviceId: options.serviceId,
    signingKeys,
    book: access,
    registry,
    revocations,
    nonces: createNonces({ store: platform.redis, clock, ttlMs: LIMITS.nonceMs }),
    authTree: auth.tree,
    natsUrls: options.natsUrls,
    callerLimits,
    ownsIntent: async (backendId, intentId) => (await book.get(intentId))?.record.backend_id === backendId,
    ...(options.allowedOrigins ? { allowedOrigins: options.allowedOrigins } : {}),
    ...(options.onAnswered ? { onAnswered: options.onAnswered } : {}),
    ...(options.tls ? { tls: options.tls } : {}),
  });
  const submitDeps = {
    backbone,
    intents: platform.intents,
    registry: registry.index,
    /** Looked up for each signature: it rotates. */
    get signingKey() {
      return signingKeys.current;
    },
    senderId: options.serviceId,
    quoteWindowMs: options.quoteWindowMs,
    limits,
    inHand: { posts: 0 },
    clock,
  };
  const read = { backbone, book, rows, run, clock };
  intentRoutes(app, {
    submit: async (submission) => {
      room.requireRoom();
      const result = await submitIntent(submitDeps, submission);
      options.metrics.posted(result.kind);
      return result;
    },
    end: (intent, request) => endIntent(pipeline.endDeps, intent, request),
    read,
    book,
    limits,
    stopping: stopping.signal,
  });
  amendmentRoutes(app, {
    amend: async (amendment) => {
      room.requireRoom();
      const result = await amendIntent(submitDeps, amendment);
      if (result.kind === "amended") book.keep(result.intent);
      options.metrics.amended(result.kind);
      return result;
    },
    book,
    limits,
  });
  explainRoutes(app, { book, read, explain: { nodes: platform.nodes, registry: registry.index } });
  const letterDeps = { ...platform, nodeStatus, replays };
  replayRoutes(app, letterDeps);
  deadLetterRoutes(app, letterDeps);
  const cursors = new CursorCodec(options.cursorKeys);
  eventRoutes(app, { backbone, cursors, region: options.platform.region, stopping: stopping.signal });
  const stopSweeping = keepSweepingRights(access, log);
  const gateways = new GatewayProcesses(backbone);
  gatewayConnectionRoutes(app, { gateways, log });
  channelEventRoutes(app, {
    backbone,
    publisher: natsPublisher({ backbone }),
    book,
    nodeExists: (id) => registry.get(id) !== undefined,
    requireRoom: () => room.requireRoom(),
    clock,
  });
  const webhooks = startWebhooks(platform, access, options.webhooks, options.metrics.webhookAttempt);
  webhookRoutes(app, webhooks.routes);

  return {
    app,
    routes,
    platform,
    adminKey: admin?.secret,
    async listen({ host, port }) {
      await app.listen({ host, port });
      const address = app.server.address() as AddressInfo;
      return `${options.tls ? "https" : "http"}://${host}:${address.port}`;
    },
    checks: () => ({
      nats: { ok: backbone.health.up, detail: backbone.health.up ? "connected" : "disconnected" },
      redis: { ok: platform.redis.health.up, detail: platform.redis.health.up ? "connected" : "disconnected" },
      record: room.check(),
      signing: signingKeys.check(),
    }),
    nodeCounts() {
      const all = [...registry.nodes.all()];
      const active = all.filter(([, { value }]) => value.status === "active").length;
      return { active, suspended: all.length - active };
    },
    async stop() {
      stopping.abort();
      await app.close();
      await Promise.all([pipeline.stop(), webhooks.stop()]);
      await Promise.all([limits.stop(), callerLimits.stop()]);
      room.stop();
      trimmer.stop();
      gateways.close();
      stopSweeping();
      await signingKeys.stop();
      registry.close();
      revocations.close();
      access.close();
      await platform.close();
    },
  };
}

/** A hint without content, at most once: nodes that miss it read the keys again when they reconnect or meet an unknown one. */
function tellKeysChanged(backbone: Backbone, registry: Registry): void {
  if (!backbone.health.up) return;
  for (const [id, { value }] of registry.nodes.all())
    if (value.status === "active") backbone.publish(SUBJECTS.nodeKeys(id), new Uint8Array(0));
}

// For tests: a real nats-server in operator mode, a real redis-server, and the HTTP app over both.

import {
  type AuthTree,
  type Backbone,
  type Bucket,
  connectBackbone,
  type Credentials,
  createAuthTree,
  createRevoker,
  ensureStreams,
  INBOX_PREFIXES,
  mintUser,
  openBucket,
  operatorOf,
} from "@outcry/backbone";
import { connectRedis, createNonces, type RedisStore } from "@outcry/jobs";
import { BUCKETS, type Clock, type Log, silentLog, systemClock } from "@outcry/protocol";
import { throwawayNats, throwawayRedis } from "@outcry/servers";
import { generateKey, type SigningKey } from "@outcry/signing";
import { type AccessBook, createAccessBook } from "../access/access-book.js";
import { claimAdminKey } from "../access/api-keys.js";
import { fixedKey } from "../access/key-store.js";
import { createSigningKeys } from "../access/signing-keys.js";
import { createRegistry, type Registry } from "../registry/registry.js";
import { createRevocations, type Revocations } from "../registry/revocations.js";
import { type AppDeps, type BroadcastApp, createApp } from "./app.js";

export const SERVICE_ID = "outcry-test";

export interface TestServers {
  natsUrl: string;
  redisUrl: string;
  tree: AuthTree;
  connect(kind: "service" | "system", name?: string): Promise<Backbone>;
  connectAs(credentials: Credentials, inboxPrefix: string): Promise<Backbone>;
  /** kill -9, then the same server on the same port and data. */
  restartNats(): Promise<void>;
  stop(): Promise<void>;
}

export async function startServers(): Promise<TestServers> {
  const tree = createAuthTree({ clock: systemClock });
  const [nats, redis] = await Promise.all([throwawayNats({ operator: () => operatorOf(tree) }), throwawayRedis()]);
  const connectAs = async (credentials: Credentials, inboxPrefix: string, name = "test") => {
    const options = { servers: [nats.url], credentials, name, inboxPrefix, log: silentLog, clock: systemClock };
    const backbone = await connectBackbone(options);
    nats.beforeRemove(() => backbone.close());
    return backbone;
  };
  return {
    natsUrl: nats.url,
    redisUrl: redis.url,
    tree,
    connectAs,
    connect: (kind, name) =>
      connectAs({ creds: mintUser(tree, { clock: systemClock }, { kind }).creds }, INBOX_PREFIXES[kind], name),
    async restartNats() {
      await nats.kill9();
      await nats.restart();
    },
    async stop() {
      await Promise.all([nats.remove(), redis.remove()]);
    },
  };
}

export interface TestService extends BroadcastApp {
  backbone: Backbone;
  nodesBucket: Bucket;
  accessBucket: Bucket;
  book: AccessBook;
  registry: Registry;
  revocations: Revocations;
  signingKey: SigningKey;
  /** Of the first start; undefined in a second process on the same servers. */
  adminSecret: string | undefined;
  ownedIntents: Map<string, string>;
  close(): Promise<void>;
}

export interface TestServiceOptions extends Partial<Pick<AppDeps, "log" | "tls" | "allowedOrigins">> {
  clock?: Clock;
  signingKey?: SigningKey;
}

/** One process of the service. */
export async function startService(servers: TestServers, options: TestServiceOptions = {}): Promise<TestService> {
  const { clock = systemClock, signingKey = generateKey() } = options;
  const log: Log = options.log ?? silentLog;
  const backbone = await servers.connect("service");
  const system = await servers.connect("system");
  await ensureStreams(backbone, { replicas: 1, region: "local" });
  const accessBucket = openBucket(backbone, BUCKETS.access, { log });
  const nodesBucket = openBucket(backbone, BUCKETS.nodes, { log });
  const book = await createAccessBook({ bucket: accessBucket, clock, log });
  const registry = await createRegistry({ bucket: nodesBucket, clock, log });
  const revoker = createRevoker({ backbone: system, tree: servers.tree, clock });
  const revocations = createRevocations({ registry, book, revoker, health: system.health, log });
  const store = await connectTo(servers.redisUrl);
  const signingKeys = await createSigningKeys({
    book,
    store: fixedKey(signingKey),
    serviceId: SERVICE_ID,
    clock,
    log,
  });
  const adminSecret = (await claimAdminKey(book))?.secret;
  const ownedIntents = new Map<string, string>();
  const { app, routes } = await createApp({
    log,
    clock,
    serviceId: SERVICE_ID,
    signingKeys,
    book,
    registry,
    revocations,
    nonces: createNonces({ store, clock }),
    authTree: servers.tree,
    natsUrls: [servers.natsUrl],
    ownsIntent: async (backendId, intentId) => ownedIntents.get(intentId) === backendId,
    ...(options.allowedOrigins === undefined ? {} : { allowedOrigins: options.allowedOrigins }),
    ...(options.tls === undefined ? {} : { tls: options.tls }),
  });
  return {
    app,
    routes,
    backbone,
    nodesBucket,
    accessBucket,
    book,
    registry,
    revocations,
    signingKey,
    adminSecret,
    ownedIntents,
    async close() {
      await app.close();
      await signingKeys.stop();
      revocations.close();
      registry.close();
      book.close();
      await store.close();
    },
  };
}

async function connectTo(url: string): Promise<RedisStore> {
  const store = connectRedis({ url, log: silentLog, clock: systemClock });
  await store.health.whenUp(AbortSignal.timeout(10_000));
  return store;
}

/** Polls until the check holds. */
export async function eventually(check: () => boolean | Promise<boolean>, withinMs = 5_000): Promise<void> {
  const until = Date.now() + withinMs;
  while (!(await check())) {
    if (Date.now() > until) throw new Error("did not come true in time");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

// Brokers and both services in this process, for tests of behaviour: everything counted and logged can be looked at.
// Killing processes is processes.ts's work.

import { rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import { connect, credsAuthenticator } from "@nats-io/transport-node";
import { getLast, newKeyPair, readAll, type KeyPair, type Stored } from "@outcry/backbone";
import {
  type BroadcastOptions,
  type BroadcastService,
  keyFolder,
  NO_QUOTAS,
  type PipelineMetrics,
  startBroadcast,
} from "@outcry/broadcast";
import { type PlatformOptions, readTopic } from "@outcry/delivery";
import type { Brokers } from "@outcry/dev";
import {
  type IntakeMetrics,
  type IntakeOptions,
  type IntakeService,
  NO_NODE_QUOTAS,
  startIntake,
} from "@outcry/intake";
import { createNode, type IntentHandler, type NodeDescription, type NodeOptions, type SellerNode } from "@outcry/node";
import {
  type ApiKeyCreated,
  type Event,
  type IntentView,
  LIMITS,
  type Log,
  type NodeRecord,
  type QuotesView,
  type SignedAcks,
  STREAMS,
  systemClock,
  TOPICS,
} from "@outcry/protocol";
import { generateKey, publicJwk, type SigningKey } from "@outcry/signing";
import { cursorKeys } from "@outcry/ws-gateway";
import { type Backend, type Call, callAs, newBackend } from "./api-calls.js";
import { newDataDir, startTestBrokers } from "./processes.js";

export const SERVICE_ID = "outcry";
export const CURSOR_SECRET = "a cursor secret of the tests";

export interface Registered {
  readonly id: string;
  readonly key: SigningKey;
  readonly natsUser: KeyPair;
}

export interface LogLine {
  level: "info" | "warn" | "error";
  fields: unknown;
  text: string | undefined;
}

export interface MarketOptions {
  ackTimeoutMs?: number;
  attemptsMax?: number;
  signedAcks?: SignedAcks;
  /** Deliveries of one message of the record before it is set aside. */
  deliveriesMax?: number;
  quotas?: Partial<NonNullable<BroadcastOptions["quotas"]>>;
  nodeQuotas?: Partial<NonNullable<IntakeOptions["quotas"]>>;
  webhooks?: Partial<BroadcastOptions["webhooks"]>;
}

export async function startMarket(options: MarketOptions = {}): Promise<Market> {
  const dataDir = newDataDir();
  const brokers = await startTestBrokers(dataDir);
  const logs: LogLine[] = [];
  const log = logInto(logs);
  const counts: Record<string, number> = {};
  const platform = (name: string): PlatformOptions => ({
    name,
    natsUrl: brokers.nats.url,
    natsCredentials: { creds: brokers.auth.creds.service },
    systemCredentials: { creds: brokers.auth.creds.system },
    redisUrl: brokers.redis.url,
    replicas: 1,
    region: "local",
    allowUnkeptPromises: false,
    clock: systemClock,
    log,
  });
  const deliveries = options.deliveriesMax === undefined ? {} : { deliveriesMax: options.deliveriesMax };
  const broadcast = await startBroadcast({
    platform: platform("broadcast"),
    auth: brokers.auth,
    natsUrls: [brokers.nats.url],
    keyStore: keyFolder(dataDir),
    serviceId: SERVICE_ID,
    ackTimeoutMs: options.ackTimeoutMs ?? 30_000, // raw nodes are silent: by default nothing is sent to them twice
    quoteWindowMs: LIMITS.quoteWindowDefaultMs,
    ackWindowMs: 5,
    attemptsMax: options.attemptsMax ?? 3,
    ...deliveries,
    signedAcks: options.signedAcks ?? "off",
    quotas: { ...NO_QUOTAS, ...options.quotas },
    cursorKeys: cursorKeys(CURSOR_SECRET),
    webhooks: { key: "a key for webhooks in tests", rules: { ports: [443], allowPrivate: true }, ...options.webhooks },
    metrics: counting(counts),
  });
  const url = await broadcast.listen({ host: "127.0.0.1", port: 0 });
  const newIntake = () =>
    startIntake({
      platform: platform("intake"),
      auth: brokers.auth,
      ackWindowMs: 5,
      ...deliveries,
      quotas: { ...NO_NODE_QUOTAS, ...options.nodeQuotas },
      metrics: counting(counts),
    });
  const intake = await newIntake();
  const watch = await connect({
    servers: brokers.nats.url,
    authenticator: credsAuthenticator(new TextEncoder().encode(brokers.auth.creds.service)),
    inboxPrefix: "_INBOX_test",
  });
  const manager = await jetstreamManager(watch);
  return new Market({
    dataDir,
    brokers,
    broadcast,
    intake,
    newIntake,
    url,
    logs,
    counts,
    manager,
    unwatch: () => watch.close(),
  });
}

interface Parts {
  dataDir: string;
  brokers: Brokers;
  broadcast: BroadcastService;
  intake: IntakeService;
  newIntake: () => Promise<IntakeService>;
  url: string;
  logs: LogLine[];
  counts: Record<string, number>;
  manager: JetStreamManager;
  unwatch: () => Promise<void>;
}

export class Market {
  readonly url: string;
  readonly dataDir: string;
  readonly brokers: Brokers;
  readonly broadcast: BroadcastService;
  intake: IntakeService;
  readonly manager: JetStreamManager;
  readonly logs: readonly LogLine[];
  /** How often the services' metrics were told what: `ackRefused ack_not_target`, `answered stored`. */
  readonly counts: Readonly<Record<string, number>>;
  readonly #parts: Parts;
  readonly #sellers: SellerNode[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
    ({
      url: this.url,
      dataDir: this.dataDir,
      brokers: this.brokers,
      broadcast: this.broadcast,
      intake: this.intake,
      manager: this.manager,
      logs: this.logs,
      counts: this.counts,
    } = parts);
  }

  as(secret: string | undefined): Call {
    return callAs(this.url, secret);
  }

  get admin(): Call {
    return this.as(this.broadcast.adminKey);
  }

  async operator(): Promise<Call> {
    const made = await this.admin<ApiKeyCreated>("POST", "/v1/api-keys", { role: "operator", name: "operator" });
    return this.as(made.body.secret);
  }

  backend(name = "marketplace"): Promise<Backend> {
    return newBackend(this.url, this.admin, name);
  }

  /** A node in the registry; nothing is connected. */
  register(description: Partial<NodeDescription> = {}): Promise<Registered> {
    return registerNode(this.admin, description);
  }

  /** A well-behaved seller, connected. Drained when the market stops. */
  async seller(
    onIntent: IntentHandler,
    description: Partial<NodeDescription> = {},
    options: Pick<NodeOptions, "signAcks"> = {},
  ): Promise<SellerNode & { id: string }> {
    const { id, key, natsUser } = await this.register(description);
    const node = createNode({ url: this.url, id, key, natsSeed: natsUser.seed, ...options }).onIntent(onIntent);
    this.#sellers.push(node);
    await node.start();
    return Object.assign(node, { id });
  }

  /** Every message of a stream, in order. */
  async stored(stream: string, filter = ">"): Promise<Stored[]> {
    const found: Stored[] = [];
    for await (const one of readAll(this.broadcast.platform.backbone, stream, { filter })) found.push(one);
    return found;
  }

  last(stream: string, subject: string): Promise<Stored | undefined> {
    return getLast(this.broadcast.platform.backbone, stream, subject);
  }

  async eventsOf(intentId: string): Promise<Event[]> {
    const loaded = await this.broadcast.platform.book.get(intentId);
    return readTopic(this.broadcast.platform.backbone, loaded!.topic);
  }

  nodeEvents(nodeId: string): Promise<Event[]> {
    return readTopic(this.broadcast.platform.backbone, TOPICS.node(nodeId));
  }

  /** Resolves with the recorded end's outcome. */
  async ended(backend: Backend, intentId: string): Promise<string> {
    const view = await eventually(async () => {
      const { status, body } = await backend.call<IntentView>("GET", `/v1/intents/${intentId}`);
      return status !== 200 || body.status === "open" ? undefined : body; // 503 while a server restarts
    });
    await eventually(async () =>
      (await this.eventsOf(intentId)).some(({ type }) => /^INTENT_(CLOSED|EXPIRED|CANCELLED)$/.test(type)),
    );
    return view.status;
  }

  /** Once no quote of it is being judged any more. */
  quotesOf(backend: Backend, intentId: string, expected: number): Promise<QuotesView> {
    return eventually(async () => {
      const { body } = await backend.call<QuotesView>("GET", `/v1/intents/${intentId}/quotes`);
      const judged = body.unranked.every(({ code }) => code !== "processing");
      return judged && body.quotes.length + body.unranked.length >= expected ? body : undefined;
    });
  }

  /** What is left to do anywhere: consumers' backlogs, messages in hand, jobs. Empty when nothing is stuck. */
  async backlog(): Promise<Record<string, number>> {
    const left: Record<string, number> = {};
    for (const stream of [STREAMS.intents, STREAMS.quotes]) {
      for await (const { name, num_pending, num_ack_pending } of this.manager.consumers.list(stream)) {
        left[`${name} pending`] = num_pending;
        left[`${name} in hand`] = num_ack_pending;
      }
    }
    for (const [state, jobs] of Object.entries(await this.intake.platform.queue.counts())) left[`jobs ${state}`] = jobs;
    return Object.fromEntries(Object.entries(left).filter(([, value]) => value !== 0));
  }

  /** As a new process: what it knows comes from the servers. */
  async restartIntake(): Promise<void> {
    await this.intake.stop();
    this.intake = await this.#parts.newIntake();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sellers.map((node) => node.drain({ timeoutMs: 500 })));
    await this.intake.stop();
    await this.broadcast.stop();
    await this.#parts.unwatch();
    await this.brokers.stop();
    rmSync(path.resolve(this.#parts.dataDir), { recursive: true, force: true });
  }
}

export async function registerNode(admin: Call, description: Partial<NodeDescription> = {}): Promise<Registered> {
  const [key, natsUser] = [generateKey(), newKeyPair("user")];
  const made = await admin<{ node: NodeRecord }>("POST", "/v1/nodes", {
    name: "seller",
    categories: ["*"],
    regions: ["*"],
    capabilities: [],
    ...description,
    public_keys: [publicJwk(key)],
    nats_public_key: natsUser.publicKey,
  });
  if (made.status !== 201) throw new Error(`${made.status} ${JSON.stringify(made.body)}`);
  return { id: made.body.node.id, key, natsUser };
}

export const inMs = (ms: number): string => new Date(Date.now() + ms).toISOString();

/** The first value that is neither undefined nor false. */
export async function eventually<T>(
  probe: () => T | Promise<T>,
  withinMs = 10_000,
): Promise<Exclude<T, undefined | false>> {
  const untilMs = Date.now() + withinMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
    if (Date.now() > untilMs) throw new Error(`not within ${withinMs} ms: ${String(probe)}`);
    await sleep(10);
  }
}

/** Counts each call by the metric's name and its texts. */
function counting(counts: Record<string, number>): PipelineMetrics & IntakeMetrics {
  const told = (name: string, ...values: unknown[]) => {
    const key = [name, ...values.filter((value) => typeof value === "string")].join(" ");
    counts[key] = (counts[key] ?? 0) + 1;
  };
  return new Proxy({}, { get: (_, name) => told.bind(undefined, String(name)) }) as PipelineMetrics & IntakeMetrics;
}

function logInto(lines: LogLine[]): Log {
  const at = (level: LogLine["level"]) => (fields: unknown, text?: string) => void lines.push({ level, fields, text });
  return { debug: () => undefined, info: () => undefined, warn: at("warn"), error: at("error") };
}

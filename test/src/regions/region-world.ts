// What the tests of regions share: the record with its one writer and oracle, an API key, and gateway processes of each region.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type Appender,
  type Backbone,
  connectBackbone,
  createAppender,
  ensureStreams,
  INBOX_PREFIXES,
  openBucket,
  readAll,
  streamHead,
} from "@outcry/backbone";
import {
  BUCKETS,
  buildEvent,
  isOutcryError,
  newId,
  sha256,
  silentLog,
  STREAMS,
  systemClock,
  tapStream,
  toBase64Url,
  TOPICS,
  toRfc3339,
} from "@outcry/protocol";
import { type Layout, type LayoutOptions, ServiceProcess } from "@outcry/regions";

const APPEND_TRIES_MS = 60_000; // as long as any fault of these tests lasts
const INTENTS = 5;
/** nats-server waits 30 s for an answer to a mirror's first request, which a server that has just come back may not get, and 10 s more. */
export const MIRROR_BACK_MS = 60_000;

export interface WorldOptions {
  /** Servers of the home region. */
  readonly urls: readonly string[];
  readonly replicas: number;
  readonly region: string;
}

export interface GatewayPlace {
  readonly urls: readonly string[];
  /** Without: EVENTS itself. */
  readonly tap?: string;
  readonly domain?: string;
  readonly region?: string;
}

/** A folder for the servers of one layout; removed with them. */
export function newLayoutOptions(): LayoutOptions {
  return {
    dataDir: mkdtempSync(path.join(tmpdir(), "outcry-regions-")),
    binary: path.resolve(process.env["OUTCRY_NATS_SERVER"] ?? "nats-server"),
  };
}

export class RegionWorld {
  readonly backendId = newId("bkd");
  readonly secret: string;
  readonly channel = `backend:${this.backendId}`;
  readonly record: Backbone;
  /** Events that were acknowledged. */
  told = 0;
  readonly #layout: Layout;
  readonly #options: LayoutOptions;
  readonly #keyId = newId("key");
  readonly #intents = Array.from({ length: INTENTS }, () => newId("int"));
  readonly #processes: ServiceProcess[] = [];
  readonly #connections: Backbone[] = [];

  readonly #world: WorldOptions;

  private constructor(layout: Layout, options: LayoutOptions, world: WorldOptions, record: Backbone) {
    this.#world = world;
    this.#layout = layout;
    this.#options = options;
    this.record = record;
    this.#connections.push(record);
    this.secret = `ock_${this.#keyId.slice(4)}_${toBase64Url(crypto.getRandomValues(new Uint8Array(32)))}`;
  }

  /** Makes streams and key at the home region. */
  static async start(layout: Layout, options: LayoutOptions, world: WorldOptions): Promise<RegionWorld> {
    const record = await connect(layout, world.urls);
    const made = new RegionWorld(layout, options, world, record);
    // Servers that have just met may not have chosen a leader yet.
    await eventually(async () => (await made.makeStreams()) !== undefined, 30_000);
    await made.#createKey();
    return made;
  }

  /** Those that are absent. Undefined when it could not be done now. */
  makeStreams(): Promise<unknown> {
    const { replicas, region } = this.#world;
    return settled(ensureStreams(this.record, { replicas, region, maxBytes: SMALL }));
  }

  /** A connection as the services have it. */
  async connect(urls: readonly string[], domain?: string): Promise<Backbone> {
    const backbone = await connect(this.#layout, urls, domain);
    this.#connections.push(backbone);
    return backbone;
  }

  async gateway(place: GatewayPlace): Promise<ServiceProcess> {
    return this.#start("gateway", place);
  }

  async tapKeeper(place: GatewayPlace): Promise<ServiceProcess> {
    return this.#start("tap", place);
  }

  /** Numbered events on several topics, each acknowledged; what a fault leaves unknown is decided by its id, as services do. */
  async tell(
    count: number,
    appender: Appender = createAppender(this.record, { stream: STREAMS.events }),
  ): Promise<void> {
    for (let done = 0; done < count; done++) {
      const intent = this.#intents[this.told % INTENTS]!;
      const topic = TOPICS.intent(this.backendId, undefined, intent);
      const data = { intent_id: intent, attempt: 1, targets: this.told, dispatched: this.told };
      const event = buildEvent("INTENT_BROADCASTED", data, { topic, traceId: "0".repeat(32) });
      const entry = { subject: topic, data: Buffer.from(JSON.stringify(event)), msgId: event.id };
      await eventually(async () => (await settled(appender.append(entry))) !== undefined, APPEND_TRIES_MS);
      this.told++;
    }
  }

  /** Numbers of the events in the order of the record: the oracle. */
  async recorded(): Promise<number[]> {
    const { lastSeq } = await streamHead(this.record, STREAMS.events);
    const numbers = new Map<number, number>();
    await eventually(async () => {
      // On a replicated stream a follower that is behind may answer.
      for await (const { seq, data } of readAll(this.record, STREAMS.events)) numbers.set(seq, numberOf(data));
      return numbers.has(lastSeq);
    });
    return [...numbers.entries()].toSorted(([one], [other]) => one - other).map(([, n]) => n);
  }

  /** Until the tap has what the record has. */
  async inStep(tap: string, local: Backbone = this.record): Promise<void> {
    await eventually(async () => {
      const [origin, copy] = await Promise.all([
        settled(streamHead(this.record, STREAMS.events)),
        settled(streamHead(local, tapStream(tap))),
      ]);
      return origin !== undefined && origin.epoch === copy?.epoch && origin.lastSeq === copy?.lastSeq;
    }, MIRROR_BACK_MS);
  }

  async remove(): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.kill9()));
    await Promise.all(this.#connections.map((connection) => connection.close()));
    await this.#layout.stop();
    rmSync(this.#options.dataDir, { recursive: true, force: true });
  }

  async #start(name: "gateway" | "tap", { urls, tap, domain, region }: GatewayPlace): Promise<ServiceProcess> {
    const process = await ServiceProcess.start(name, {
      OUTCRY_NATS_URL: urls.join(","),
      OUTCRY_NATS_AUTH_DIR: tap === undefined ? this.#layout.authDir : this.#authDirOf(tap, domain),
      OUTCRY_DATA_DIR: path.join(this.#options.dataDir, "services"),
      OUTCRY_CURSOR_SECRET: "a secret of every gateway of these tests",
      ...(tap === undefined ? {} : { OUTCRY_EVENTS_TAP: tap }),
      ...(domain === undefined ? {} : { OUTCRY_RECORD_DOMAIN: domain }),
      ...(region === undefined ? {} : { OUTCRY_REGION: region }),
    });
    this.#processes.push(process);
    return process;
  }

  readonly #authDirs = new Map<string, string>();

  #authDirOf(tap: string, domain: string | undefined): string {
    const dir = this.#authDirs.get(tap) ?? this.#layout.tapAuthDir(tap, domain);
    this.#authDirs.set(tap, dir);
    return dir;
  }

  /** As the broadcast service stores them. */
  async #createKey(): Promise<void> {
    const record = {
      id: this.#keyId,
      role: "backend",
      name: "test",
      backend_id: this.backendId,
      secret_sha256: toBase64Url(sha256(Buffer.from(this.secret))),
      created: toRfc3339(Date.now()),
    };
    const access = openBucket(this.record, BUCKETS.access, { log: silentLog });
    const create = () => settled(access.create(`api-key.${this.#keyId}`, Buffer.from(JSON.stringify(record))));
    await eventually(async () => (await create()) !== undefined, 30_000);
  }
}

const MIB = 1024 ** 2;
const SMALL = Object.fromEntries(
  ["INTENTS", "EVENTS", "QUOTES", "DEAD_LETTERS", "KV_nodes", "KV_access"].map((name) => [name, 64 * MIB]),
);

function connect(layout: Layout, urls: readonly string[], domain?: string): Promise<Backbone> {
  return connectBackbone({
    servers: urls,
    credentials: { creds: layout.auth.creds.service },
    name: "test",
    inboxPrefix: INBOX_PREFIXES.service,
    log: silentLog,
    clock: systemClock,
    ...(domain === undefined ? {} : { domain }),
  });
}

export const numberOf = (data: Uint8Array): number =>
  (JSON.parse(Buffer.from(data).toString()) as { data: { dispatched: number } }).data.dispatched;

/** Undefined when it failed in a way that passes. */
export async function settled<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isOutcryError(error) && error.code === "dependency_unavailable") return undefined;
    throw error;
  }
}

export async function eventually(check: () => boolean | Promise<boolean>, withinMs = 15_000): Promise<void> {
  const until = Date.now() + withinMs;
  while (!(await check())) {
    if (Date.now() > until) throw new Error(`did not come true within ${withinMs} ms: ${check.toString()}`);
    await sleep(20);
  }
}

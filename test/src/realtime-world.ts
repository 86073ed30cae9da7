// Two gateway processes on real servers, a writer of events beside them, and readers that keep what they heard.

import { setTimeout as sleep } from "node:timers/promises";
import {
  type Appender,
  type Backbone,
  connectBackbone,
  createAppender,
  ensureStreams,
  INBOX_PREFIXES,
  openBucket,
  purgeBelow,
  streamHead,
} from "@outcry/backbone";
import {
  type Channel,
  type ChannelMessage,
  type ChannelName,
  type ChannelOptions,
  createClient,
  createRealtime,
  type Client,
  type Realtime,
  type RealtimeOptions,
  type RealtimeStatus,
} from "@outcry/client";
import {
  BUCKETS,
  buildEvent,
  type EventData,
  type EventType,
  newId,
  silentLog,
  STREAMS,
  systemClock,
  TOPICS,
} from "@outcry/protocol";
import { generateKey, mintToken, publicJwk, type SigningKey } from "@outcry/signing";
import WebSocket from "ws";
import { type ProcessStack, startProcesses } from "./processes.js";

const BUYER = "buyer-1";

export class RealtimeWorld {
  readonly backendId = newId("bkd");
  readonly admin: Client;
  readonly stack: ProcessStack;
  readonly #service: Backbone;
  readonly #appender: Appender;
  readonly #signingKey: SigningKey;
  readonly #realtimes: Realtime[] = [];

  private constructor(stack: ProcessStack, service: Backbone, signingKey: SigningKey) {
    this.stack = stack;
    this.admin = createClient({ url: stack.url, apiKey: stack.adminKey });
    this.#service = service;
    this.#appender = createAppender(service, { stream: STREAMS.events });
    this.#signingKey = signingKey;
  }

  static async start(): Promise<RealtimeWorld> {
    const stack = await startProcesses({ services: { intake: 0, gateway: 2 } });
    const service = await connectBackbone({
      servers: [stack.brokers.nats.url],
      name: "test",
      log: silentLog,
      clock: systemClock,
      credentials: { creds: stack.brokers.auth.creds.service },
      inboxPrefix: INBOX_PREFIXES.service,
    });
    const signingKey = generateKey();
    const access = openBucket(service, BUCKETS.access, { log: silentLog });
    await access.create(`signing-key.${signingKey.kid}`, Buffer.from(JSON.stringify(publicJwk(signingKey))));
    const world = new RealtimeWorld(stack, service, signingKey);
    for (const gateway of [0, 1]) await world.#accepted(gateway);
    return world;
  }

  socketUrl(gateway = 0): string {
    return `${this.stack.service("gateway", gateway).url.replace("http", "ws")}/v1/ws`;
  }

  /** A buyer's token for these channels, as its backend would hand it out. */
  token(channels: readonly ChannelName[], ttlMs = 600_000): string {
    const iat = Math.floor(Date.now() / 1_000);
    const claims = { iss: "outcry", aud: "outcry-gateway", role: "buyer", backend: this.backendId, sub: BUYER };
    const exp = Math.ceil((Date.now() + ttlMs) / 1_000);
    return mintToken({ ...claims, iat, exp, jti: newId("con"), channels: [...channels] }, this.#signingKey);
  }

  /** Once the gateway has heard of the key that signs tokens here. */
  async #accepted(gateway: number): Promise<void> {
    const channel = `intent:${newIntent()}` as const;
    for (let known = false; !known;) {
      const realtime = this.connect({ url: this.socketUrl(gateway), getToken: () => this.token([channel]) });
      known = await realtime
        .channel(channel)
        .ready()
        .then(
          () => true,
          () => false,
        );
      await realtime.close();
    }
  }

  connect(options: Omit<RealtimeOptions, "url"> & { url?: string }): Realtime {
    const realtime = createRealtime({ url: this.socketUrl(), WebSocket, ...options });
    this.#realtimes.push(realtime);
    return realtime;
  }

  /** Appends an event of an intent; what it says is `n`. */
  tell(intentId: string, n: number): Promise<void> {
    return this.append(intentId, "INTENT_BROADCASTED", { intent_id: intentId, attempt: 1, targets: n, dispatched: n });
  }

  async append<T extends EventType>(intentId: string, type: T, data: EventData<T>): Promise<void> {
    const topic = TOPICS.intent(this.backendId, BUYER, intentId);
    const event = buildEvent(type, data, { topic, traceId: "0".repeat(32) });
    await this.#appender.append({ subject: topic, data: Buffer.from(JSON.stringify(event)) });
  }

  /** Only the newest `keep` messages of EVENTS stay. */
  async trim(keep: number): Promise<void> {
    const { lastSeq } = await streamHead(this.#service, STREAMS.events);
    await purgeBelow(this.#service, STREAMS.events, lastSeq - keep + 1);
  }

  async deleteEvents(): Promise<void> {
    await this.#service.request(`$JS.API.STREAM.DELETE.${STREAMS.events}`, new Uint8Array(0));
  }

  /** Another stream of that name, empty, under another epoch. */
  async makeEvents(): Promise<void> {
    await ensureStreams(this.#service, { replicas: 1, region: "local" });
  }

  /** From `n = from`, one every few milliseconds, while `work` runs; how many there are then. */
  async tellDuring(intentId: string, from: number, work: () => Promise<void>): Promise<number> {
    const done = new AbortController();
    const working = work().finally(() => done.abort());
    let n = from;
    while (!done.signal.aborted) {
      await this.tell(intentId, n++);
      await sleep(4);
    }
    await working;
    return n;
  }

  async stop(): Promise<void> {
    for (const realtime of this.#realtimes) await realtime.close();
    await this.#service.close();
    await this.stack.stop();
  }
}

export const newIntent = (): string => newId("int");
export const upTo = (end: number, from = 0): number[] => Array.from({ length: end - from }, (_, index) => from + index);

/** Everything that one channel said, and how its connection was meanwhile. */
export class Heard<N extends ChannelName> {
  readonly channel: Channel<N>;
  readonly numbers: number[] = [];
  /** In order: the events' numbers, and the rest in words. */
  readonly story: (number | string)[] = [];
  readonly others: Exclude<ChannelMessage, { kind: "event" }>[] = [];
  readonly statuses: RealtimeStatus[] = [];
  /** Why it ended. */
  error: unknown;

  constructor(realtime: Realtime, name: N, options: ChannelOptions = {}) {
    realtime.on("status", (status) => void this.statuses.push(status));
    this.channel = realtime.channel(name, options);
    void this.#read();
  }

  get gaps(): unknown[] {
    return this.others.filter(({ kind }) => kind === "gap");
  }

  /** Events behind each resume. */
  get recovered(): number[] {
    return this.others.flatMap((message) => (message.kind === "recovered" ? [message.events] : []));
  }

  opened(): number {
    return this.statuses.filter(({ state }) => state === "open").length;
  }

  reconnecting(): Extract<RealtimeStatus, { state: "reconnecting" }>[] {
    return this.statuses.filter((status) => status.state === "reconnecting");
  }

  async #read(): Promise<void> {
    try {
      for await (const message of this.channel) {
        this.story.push(wordOf(message));
        if (message.kind !== "event") this.others.push(message);
        else this.numbers.push(numberOf(message));
      }
    } catch (error) {
      this.error = error;
    }
  }
}

const numberOf = ({ event }: Extract<ChannelMessage, { kind: "event" }>): number =>
  (event.data as { dispatched: number }).dispatched;

function wordOf(message: ChannelMessage): number | string {
  if (message.kind === "event") return numberOf(message);
  if (message.kind === "gap") return `gap: ${message.reason}`;
  return message.kind === "recovered" ? `recovered ${message.events}` : message.kind;
}

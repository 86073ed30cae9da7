// The gateway service on a real nats-server in operator mode: the service's user writes, the gateway's own user reads.

import { once } from "node:events";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type Backbone,
  type Bucket,
  connectBackbone,
  createAppender,
  ensureStreams,
  INBOX_PREFIXES,
  openAuthFolder,
  openBucket,
  operatorOf,
  type UserKind,
} from "@outcry/backbone";
import {
  BUCKETS,
  buildEvent,
  newId,
  sha256,
  silentLog,
  STREAMS,
  systemClock,
  toBase64Url,
  TOPICS,
  toRfc3339,
} from "@outcry/protocol";
import { throwawayNats } from "@outcry/servers";
import { generateKey, mintToken, publicJwk } from "@outcry/signing";
import { fastify } from "fastify";
import { WebSocket } from "ws";
import { cursorKeys, natsPublisher } from "@outcry/ws-gateway";
import { createGateway, type Gateway } from "./create-gateway.js";
import { gatewayPlugin } from "./plugin.js";

export const SERVICE_ID = "outcry";

export interface World {
  readonly natsUrl: string;
  readonly dir: string;
  readonly authDir: string;
  readonly access: Bucket;
  readonly signingKey: ReturnType<typeof generateKey>;
  connect(kind: UserKind): Promise<Backbone>;
  /** Appends an event of an intent; its data carries `n`. */
  tell(backendId: string, buyerId: string | undefined, intentId: string, n: number): Promise<void>;
  append(subject: string, event: object): Promise<void>;
  remove(): Promise<void>;
}

export async function startWorld(): Promise<World> {
  const openAuth = (folder: string) => openAuthFolder(path.join(folder, "auth"), { clock: systemClock });
  const nats = await throwawayNats({ operator: (folder) => operatorOf(openAuth(folder).tree) });
  const auth = openAuth(nats.folder);
  const connect = async (kind: UserKind): Promise<Backbone> => {
    const credentials = { creds: auth.creds[kind] };
    const common = { servers: [nats.url], name: kind, log: silentLog, clock: systemClock };
    const backbone = await connectBackbone({ ...common, credentials, inboxPrefix: INBOX_PREFIXES[kind] });
    nats.beforeRemove(() => backbone.close());
    return backbone;
  };
  const service = await connect("service");
  await ensureStreams(service, { replicas: 1, region: "local" });
  const access = openBucket(service, BUCKETS.access, { log: silentLog });
  const signingKey = generateKey();
  await access.create(`signing-key.${signingKey.kid}`, json(publicJwk(signingKey)));
  const appender = createAppender(service, { stream: STREAMS.events });
  const append = async (subject: string, event: object) => void (await appender.append({ subject, data: json(event) }));
  return {
    natsUrl: nats.url,
    dir: path.join(nats.folder, "data"),
    authDir: path.join(nats.folder, "auth"),
    access,
    signingKey,
    connect,
    append,
    tell: (backendId, buyerId, intentId, n) => {
      const topic = TOPICS.intent(backendId, buyerId, intentId);
      return append(topic, { ...intentEvent(topic, intentId, n), unpublished: "secret" });
    },
    remove: () => nats.remove(),
  };
}

export function intentEvent(topic: string, intentId: string, n: number) {
  const data = { intent_id: intentId, attempt: 1, targets: n, dispatched: n };
  return buildEvent("INTENT_BROADCASTED", data, { topic, traceId: "0".repeat(32) });
}

export interface Key {
  readonly id: string;
  readonly secret: string;
  readonly backendId: string;
  revoke(): Promise<void>;
}

/** As the broadcast service stores them. */
export async function createKey(
  { access }: World,
  role: "backend" | "operator" | "admin",
  backendId = newId("bkd"),
): Promise<Key> {
  const id = newId("key");
  const secret = `ock_${id.slice(4)}_${toBase64Url(crypto.getRandomValues(new Uint8Array(32)))}`;
  const owner = role === "backend" ? { backend_id: backendId } : {};
  const record = {
    id,
    role,
    name: "test",
    ...owner,
    secret_sha256: toBase64Url(sha256(Buffer.from(secret))),
    created: toRfc3339(Date.now()),
  };
  await access.create(`api-key.${id}`, json(record));
  const revoke = async () =>
    void (await access.put(`api-key.${id}`, json({ ...record, revoked: toRfc3339(Date.now()) })));
  return { id, secret, backendId, revoke };
}

export function token(
  { signingKey }: World,
  specific: { sub: string; role: string; backend?: string; channels?: string[] },
  ttlS = 600,
  ageS = 0,
): string {
  const iat = Math.floor(Date.now() / 1_000) - ageS;
  const claims = {
    iss: SERVICE_ID,
    aud: "outcry-gateway",
    iat,
    exp: iat + ttlS,
    jti: newId("con"),
    channels: [],
    ...specific,
  };
  return mintToken(claims, signingKey);
}

export interface Served {
  readonly gateway: Gateway;
  readonly url: string;
  close(): Promise<void>;
}

export async function serve(world: World, more: Partial<Parameters<typeof createGateway>[0]> = {}): Promise<Served> {
  const gateway = createGateway({
    backbone: await world.connect("gateway"),
    publisher: natsPublisher({ backbone: await world.connect("service") }),
    stream: STREAMS.events,
    region: "local",
    serviceId: SERVICE_ID,
    cursorKeys: cursorKeys("a secret of the tests"),
    clock: systemClock,
    log: silentLog,
    ...more,
  });
  await gateway.start();
  const app = fastify();
  await app.register(gatewayPlugin, { gateway });
  const url = await app.listen({ host: "127.0.0.1", port: 0 });
  return { gateway, url, close: () => app.close() };
}

type Message = Record<string, unknown> & {
  ch?: string;
  e?: string;
  d?: { data: { dispatched: number } } & Record<string, unknown>;
};
export type Reply = { ok?: Record<string, unknown>; err?: { code: string } };

export class Socket {
  readonly messages: Message[] = [];
  closed: number | undefined;
  readonly ws: WebSocket;
  #nextId = 1;

  constructor(url: string) {
    this.ws = new WebSocket(`${url.replace("http", "ws")}/v1/ws`, "outcry.v1");
    this.ws.on("message", (data) => {
      for (const line of (data as Buffer).toString().split("\n")) this.messages.push(JSON.parse(line) as Message);
    });
    this.ws.on("error", () => undefined);
    this.ws.on("close", (code) => (this.closed = code));
  }

  static async open(url: string, secret: string): Promise<Socket> {
    const socket = new Socket(url);
    await once(socket.ws, "open");
    const { err } = await socket.command({ op: "auth", token: secret });
    if (err !== undefined) throw new Error(err.code);
    return socket;
  }

  async command(command: object): Promise<Reply> {
    const id = this.#nextId++;
    this.ws.send(JSON.stringify({ id, ...command }));
    const find = () => this.messages.find((message) => message["id"] === id);
    await eventually(() => this.closed !== undefined || find() !== undefined);
    return (find() ?? {}) as Reply;
  }

  /** Code of the refusal, or `ok`. */
  async sub(ch: string, more: object = {}): Promise<string> {
    const { err } = await this.command({ op: "sub", ch, ...more });
    return err?.code ?? "ok";
  }

  numbers(ch: string): number[] {
    return this.messages.flatMap((message) => (message.ch === ch && message.d ? [message.d.data.dispatched] : []));
  }

  async close(): Promise<void> {
    this.ws.terminate();
    await eventually(() => this.closed !== undefined);
  }
}

export const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

export async function eventually(check: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const until = Date.now() + withinMs;
  while (!(await check())) {
    if (Date.now() > until) throw new Error(`did not come true within ${withinMs} ms: ${check.toString()}`);
    await sleep(10);
  }
}

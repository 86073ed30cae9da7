// An engine with a small policy of its own, on a real HTTP server, and a client that keeps what it hears.
// Subjects `rt.t.<group>.<id>`; channels `one:<id>`, `group:<group>`, `all:`; any token names a principal.

import { type Backbone, createAppender } from "@outcry/backbone";
import { silentLog, systemClock } from "@outcry/protocol";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocket } from "ws";
import type { EventSource } from "./log/event-source.js";
import { GatewayEngine, type GatewayDeps, type SocketProtocol } from "./gateway.js";
import { GATEWAY_LIMITS } from "./limits.js";
import { natsSource } from "./log/nats-source.js";
import { eventually } from "./nats-server.fixture.js";
import type { Policy, Route } from "./channels/policy.js";
import { httpServerOptions } from "./transport/http-server.js";

export const CURSOR_KEYS = [{ id: "a", secret: Buffer.alloc(16, 7) }];

const FILTERS: Record<string, (id: string) => string> = {
  one: (id) => `rt.t.*.${id}`,
  group: (id) => `rt.t.${id}.>`,
  all: () => "rt.>",
};

export const testPolicy: Policy = {
  async authenticate(token) {
    if (token === "bad") return { kind: "refused", code: "credentials_invalid" };
    const [name = "", expiresAt] = token.split("@");
    if (Number(expiresAt) <= Date.now()) return { kind: "refused", code: "token_expired" };
    return {
      kind: "ok",
      principal: {
        id: name,
        role: "buyer",
        credential: token,
        ...(expiresAt === undefined ? {} : { expiresAt: Number(expiresAt) }),
      },
    };
  },
  async route(principal, channel) {
    const [kind = "", id = ""] = channel.split(":");
    const filter = FILTERS[kind];
    if (filter === undefined || (id === "secret" && principal.credential !== "chief"))
      return { kind: "refused", code: "channel_forbidden" };
    const presence = id === "shy" ? {} : { member: principal.id, seesPresence: true };
    const replayFilter = async () => filter(id);
    const route: Route = { channel, key: `${kind}.${id}`, view: "plain", ...presence, replayFilter };
    return { kind: "ok", route };
  },
  keysOf(subject) {
    const [, , group = "", id = ""] = subject.split(".");
    return [`one.${id}`, `group.${group}`, "all."];
  },
  render(_view, data) {
    const event = JSON.parse(Buffer.from(data).toString()) as { type?: string };
    return { type: event.type ?? "TICK", json: JSON.stringify(event) };
  },
};

/** Loses, doubles and reorders what is heard live, from a seed. */
export function lossySource(
  source: EventSource,
  faults: { random: () => number; drop: number; double?: number; late?: number },
): EventSource {
  return {
    ...forward(source),
    listen: (onMessage) =>
      source.listen((message) => {
        const roll = faults.random();
        if (roll < faults.drop) return;
        if (roll < faults.drop + (faults.late ?? 0)) setTimeout(() => onMessage(message), faults.random() * 20);
        else onMessage(message);
        if (faults.random() < (faults.double ?? 0)) onMessage(message);
      }),
  };
}

/** A copy with its own members, whose reads still go to the source. */
export function forward(source: EventSource): EventSource {
  return {
    get up() {
      return source.up;
    },
    listen: (onMessage) => source.listen(onMessage),
    read: (query) => source.read(query),
    head: () => source.head(),
    newestSeq: () => source.newestSeq(),
    onUp: (listener) => source.onUp(listener),
  };
}

/** mulberry32: small, seeded, good enough for faults. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const eventsSource = (backbone: Backbone): EventSource =>
  natsSource({ backbone, stream: "EVENTS", region: "local" });

export interface TestGateway {
  readonly engine: GatewayEngine;
  readonly url: string;
  readonly port: number;
  readonly server: Server;
  /** Reasons of the connections that are gone. */
  readonly closed: string[];
  stop(): Promise<void>;
}

export async function startGateway(
  source: EventSource,
  more: Partial<GatewayDeps> = {},
  port = 0,
): Promise<TestGateway> {
  const closed: string[] = [];
  const engine = new GatewayEngine({
    source,
    policy: testPolicy,
    cursorKeys: CURSOR_KEYS,
    clock: systemClock,
    log: silentLog,
    observer: { closed: (reason) => closed.push(reason), resumed: () => undefined },
    ...more,
  });
  await engine.start();
  const limits = { ...GATEWAY_LIMITS, ...more.limits };
  const server = createServer(httpServerOptions(limits), (request, response) => {
    if (request.url?.startsWith("/socket/longpoll")) void engine.handleLongPoll(request, response);
    else void engine.handleStream(request, response);
  });
  server.maxConnections = limits.socketsMax;
  server.on("upgrade", (request, socket, head) =>
    engine.handleUpgrade(protocolOf(request.url ?? ""), request, socket, head),
  );
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    engine,
    closed,
    server,
    port: (server.address() as AddressInfo).port,
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/v1/ws`,
    async stop() {
      engine.stop();
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function protocolOf(path: string): SocketProtocol {
  if (path.startsWith("/connection/websocket")) return "centrifugo";
  return path.startsWith("/socket/websocket") ? "phoenix" : "native";
}

export interface Heard {
  readonly ch: string;
  readonly c?: string;
  readonly e?: string;
  readonly d?: { n: number; type?: string };
  readonly pos?: string;
  readonly reset?: { reason: string; c: string };
  readonly end?: { code: string };
  readonly pres?: Pres;
  readonly hint?: { from: string; kind: string; data: unknown };
}

export type PresMembers = Record<string, { ref: string; info: object }[]>;
export type Pres = { state?: PresMembers; joins?: PresMembers; leaves?: PresMembers; count?: number };

export interface Reply {
  readonly id: number | string | null;
  readonly ok?: {
    ch?: string;
    c?: string;
    recovered?: boolean;
    reason?: string;
    conn?: string;
    role?: string;
    expires?: string;
  };
  readonly err?: { code: string; n: number; retry: string; msg: string };
}

/** Resumes like a client: keeps the last cursor of each channel. */
export class TestClient {
  readonly heard: Heard[] = [];
  readonly replies: Reply[] = [];
  readonly byes: { n: number; code: string; after_ms: number }[] = [];
  readonly cursors = new Map<string, string>();
  pings = 0;
  closed: { code: number; reason: string } | undefined;
  readonly ws: WebSocket;
  /** Answers pings. */
  answering = true;
  #nextId = 1;

  constructor(url: string, options: { protocols?: string[]; origin?: string } = {}) {
    this.ws = new WebSocket(
      url,
      options.protocols ?? ["outcry.v1"],
      options.origin === undefined ? {} : { origin: options.origin },
    );
    this.ws.on("message", (data) => {
      for (const line of (data as Buffer).toString().split("\n"))
        this.#onMessage(JSON.parse(line) as Record<string, unknown>);
    });
    this.ws.on("error", () => undefined);
    this.ws.on("close", (code, reason) => (this.closed = { code, reason: reason.toString() }));
  }

  static async open(url: string, token = "alice"): Promise<TestClient> {
    const client = new TestClient(url);
    await once(client.ws, "open");
    const reply = await client.command({ op: "auth", token });
    if (reply.err !== undefined) throw new Error(reply.err.code);
    return client;
  }

  async command(command: object): Promise<Reply> {
    const id = this.#nextId++;
    this.ws.send(JSON.stringify({ id, ...command }));
    return this.reply(id);
  }

  async reply(id: number | string | null): Promise<Reply> {
    await eventually(() => this.closed !== undefined || this.replies.some((reply) => reply.id === id));
    const found = this.replies.find((reply) => reply.id === id);
    if (found === undefined) throw new Error(`closed with ${this.closed?.code} before the reply`);
    return found;
  }

  /** Subscribes with the last cursor of the channel, if there is one. */
  async subscribe(ch: string, more: object = {}): Promise<Reply> {
    const cur = this.cursors.get(ch);
    return this.command({ op: "sub", ch, ...(cur === undefined ? {} : { cur }), ...more });
  }

  numbers(ch: string): number[] {
    return this.heard.filter((heard) => heard.ch === ch && heard.d !== undefined).map((heard) => heard.d!.n);
  }

  async close(): Promise<void> {
    this.ws.terminate();
    await eventually(() => this.closed !== undefined);
  }

  #onMessage(message: Record<string, unknown>): void {
    if ("id" in message) {
      const reply = message as unknown as Reply;
      this.replies.push(reply);
      if (reply.ok?.ch !== undefined && reply.ok.c !== undefined) this.cursors.set(reply.ok.ch, reply.ok.c);
    } else if ("bye" in message) this.byes.push(message["bye"] as { n: number; code: string; after_ms: number });
    else if ("ch" in message) {
      const heard = message as unknown as Heard;
      this.heard.push(heard);
      const cursor = heard.c ?? heard.pos ?? heard.reset?.c;
      if (cursor !== undefined) this.cursors.set(heard.ch, cursor);
    } else {
      this.pings++;
      if (this.answering) this.ws.send('{"op":"pong"}');
    }
  }
}

/** Publishes numbered events in order of their numbers. */
export class TestPublisher {
  readonly sent: { subject: string; n: number }[] = [];
  readonly #append: (subject: string, data: Uint8Array) => Promise<unknown>;

  constructor(backbone: Backbone) {
    const appender = createAppender(backbone, { stream: "EVENTS" });
    this.#append = (subject, data) => appender.append({ subject, data });
  }

  async publish(subject: string, more: object = {}): Promise<number> {
    const n = this.sent.length + 1;
    this.sent.push({ subject, n });
    await this.#append(subject, Buffer.from(JSON.stringify({ type: "TICK", n, ...more })));
    return n;
  }

  /** Numbers of the events on subjects that hold this token. */
  numbers(token?: string): number[] {
    return this.sent
      .filter(({ subject }) => token === undefined || subject.split(".").includes(token))
      .map(({ n }) => n);
  }
}

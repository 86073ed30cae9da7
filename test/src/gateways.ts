// Processes of the gateway beside a market, with the permissions of the gateway's own NATS user, and a client of theirs.

import { once } from "node:events";
import { connectBackbone, INBOX_PREFIXES } from "@outcry/backbone";
import { createGateway, type Gateway, gatewayPlugin } from "@outcry/gateway";
import { silentLog, STREAMS, systemClock } from "@outcry/protocol";
import { cursorKeys } from "@outcry/ws-gateway";
import { fastify } from "fastify";
import { WebSocket } from "ws";
import type { Backend } from "./api-calls.js";
import { CURSOR_SECRET, eventually, type Market, SERVICE_ID, startMarket } from "./in-process.js";

export interface GatewayProcess {
  readonly gateway: Gateway;
  readonly url: string;
  stop(): Promise<void>;
}

export async function startGateway({ brokers }: Market, allowedOrigins: string[] = []): Promise<GatewayProcess> {
  const backbone = await connectBackbone({
    servers: [brokers.nats.url],
    credentials: { creds: brokers.auth.creds.gateway },
    inboxPrefix: INBOX_PREFIXES.gateway,
    name: "gateway",
    log: silentLog,
    clock: systemClock,
  });
  const gateway = createGateway({
    backbone,
    stream: STREAMS.events,
    region: "local",
    serviceId: SERVICE_ID,
    cursorKeys: cursorKeys(CURSOR_SECRET),
    clock: systemClock,
    log: silentLog,
    allowedOrigins,
    limits: { drainMs: 0 },
  });
  await gateway.start();
  const app = fastify();
  await app.register(gatewayPlugin, { gateway });
  const url = await app.listen({ host: "127.0.0.1", port: 0 });
  return {
    gateway,
    url,
    async stop() {
      await app.close();
      await backbone.close();
    },
  };
}

/** Sockets that tests open: none is left behind. */
export class OpenSockets {
  readonly #open: GatewaySocket[] = [];

  /** Throws with the code of a refusal. */
  async open(at: Pick<GatewayProcess, "url">, token: string): Promise<GatewaySocket> {
    const socket = await GatewaySocket.open(at, token);
    this.#open.push(socket);
    return socket;
  }

  async close(): Promise<void> {
    for (const socket of this.#open.splice(0)) await socket.close();
  }
}

/** A market with a backend, and two processes of the gateway beside it. */
export interface GatewayMarket {
  readonly market: Market;
  readonly backend: Backend;
  readonly one: GatewayProcess;
  readonly two: GatewayProcess;
  readonly sockets: OpenSockets;
  stop(): Promise<void>;
}

export async function startGatewayMarket(): Promise<GatewayMarket> {
  const market = await startMarket();
  try {
    const backend = await market.backend();
    const [one, two] = await Promise.all([startGateway(market), startGateway(market)]);
    const sockets = new OpenSockets();
    const stop = async (): Promise<void> => {
      await sockets.close();
      await Promise.all([one.stop(), two.stop()]);
      await market.stop();
    };
    return { market, backend, one, two, sockets, stop };
  } catch (error) {
    await market.stop();
    throw error;
  }
}

export interface GatewayMessage {
  readonly id?: number;
  readonly ch?: string;
  readonly e?: string;
  readonly d?: { readonly id: string; readonly type: string };
  readonly ok?: { readonly conn?: string };
  readonly err?: { readonly code: string };
  readonly end?: { readonly code: string };
  readonly bye?: { readonly code: string };
}

/** `outcry.v1` by hand: everything that it heard is there to be looked at. */
export class GatewaySocket {
  readonly messages: GatewayMessage[] = [];
  closed: number | undefined;
  /** The connection's. */
  id = "";
  readonly #ws: WebSocket;
  #nextId = 1;

  constructor(url: string) {
    this.#ws = new WebSocket(`${url.replace("http", "ws")}/v1/ws`, "outcry.v1");
    this.#ws.on("message", (data) => {
      for (const line of (data as Buffer).toString().split("\n"))
        this.messages.push(JSON.parse(line) as GatewayMessage);
    });
    this.#ws.on("error", () => undefined);
    this.#ws.on("close", (code) => (this.closed = code));
  }

  /** Throws with the code of a refusal. */
  static async open({ url }: Pick<GatewayProcess, "url">, token: string): Promise<GatewaySocket> {
    const socket = new GatewaySocket(url);
    await once(socket.#ws, "open");
    const { err, ok } = await socket.command({ op: "auth", token });
    if (err !== undefined) throw new Error(err.code);
    socket.id = ok!.conn!;
    return socket;
  }

  async command(command: object): Promise<GatewayMessage> {
    const id = this.#nextId++;
    this.#ws.send(JSON.stringify({ id, ...command }));
    const find = () => this.messages.find((message) => message.id === id);
    await eventually(() => this.closed !== undefined || find() !== undefined);
    return find() ?? {};
  }

  /** `ok`, or the code of the refusal. */
  async sub(ch: string, more: object = {}): Promise<string> {
    return (await this.command({ op: "sub", ch, ...more })).err?.code ?? "ok";
  }

  /** Ids of the events heard on a channel. */
  events(ch: string): string[] {
    return this.messages.flatMap((message) => (message.ch === ch && message.d ? [message.d.id] : []));
  }

  async close(): Promise<void> {
    this.#ws.terminate();
    await eventually(() => this.closed !== undefined);
  }
}

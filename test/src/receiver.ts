// A receiver of webhooks on node:http: remembers what arrived, byte for byte, and answers as the test says.

import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Event } from "@outcry/protocol";

export interface Arrived {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly event: Event;
  readonly atMs: number;
}

/** A status, one with headers or a text, or never. */
export type Answered = number | { status: number; headers?: Record<string, string>; body?: string } | "never";

export class Receiver {
  readonly arrived: Arrived[] = [];
  /** Ids of the events that it has taken. */
  readonly taken = new Set<string>();
  /** TCP connections, whether anything was sent on them or not. */
  sockets = 0;
  answer: (arrived: Arrived, nth: number) => Answered = () => 204;
  readonly #server: Server;
  readonly #scheme: "http" | "https";

  constructor(tls?: { cert: string; key: string }) {
    this.#scheme = tls === undefined ? "http" : "https";
    this.#server = tls === undefined ? createServer() : createTlsServer(tls);
    this.#server.on("connection", () => this.sockets++);
    this.#server.on("request", (request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        const body = Buffer.concat(parts);
        const event = JSON.parse(body.toString()) as Event;
        const arrived = { headers: request.headers, body, event, atMs: Date.now() };
        const said = this.answer(arrived, this.arrived.push(arrived) - 1);
        if (said === "never") return;
        const { status, headers = {}, body: text = "" } = typeof said === "number" ? { status: said } : said;
        if (status < 300) this.taken.add(event.id);
        response.writeHead(status, headers).end(text);
      });
    });
  }

  async open(): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}/hooks`;
  }

  /** What arrived about one intent, in order of arrival. */
  about(intentId: string): Arrived[] {
    return this.arrived.filter(({ event }) => (event.data as { intent_id?: string }).intent_id === intentId);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}

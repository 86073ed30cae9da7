// A gateway for the client's tests over npm `ws`: speaks docs/gateway-protocol.md for one log of events and does what a test tells it to.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

interface Command {
  id?: number;
  op: string;
  ch?: string;
  cur?: string;
  from?: string;
  token?: string;
}

export class PeerGateway {
  readonly commands: Command[] = [];
  readonly protocols: string[] = [];
  /** Cursors are `c<n>`: behind the n-th event of the log. */
  readonly log: string[] = [];
  connections = 0;
  url = "";
  /** Takes what comes and says nothing: as a network that swallows everything. */
  deaf = false;
  auth: (token: string) => Record<string, unknown> = () => ({ ok: { conn: "con_1", role: "buyer", ping_ms: 25_000 } });
  sub: (command: Command) => Record<string, unknown> | undefined = () => undefined;
  readonly #server = new WebSocketServer({ noServer: true });
  readonly #http = createServer();
  readonly #subscribed = new Map<WebSocket, Set<string>>();

  async open(port = 0): Promise<this> {
    this.#http.removeAllListeners("upgrade");
    this.#http.on("upgrade", (request, socket, head) =>
      this.#server.handleUpgrade(request, socket, head, (peer) => this.#serve(peer)),
    );
    this.#http.listen(port, "127.0.0.1");
    await once(this.#http, "listening");
    this.url = `ws://127.0.0.1:${(this.#http.address() as AddressInfo).port}/v1/ws`;
    return this;
  }

  append(...names: string[]): void {
    for (const name of names) {
      this.log.push(name);
      for (const [socket, channels] of this.#subscribed)
        for (const channel of channels) socket.send(this.#event(channel, this.log.length));
    }
  }

  broadcast(message: unknown): void {
    for (const socket of this.#server.clients)
      socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  closeAll(code: number, reason = ""): void {
    for (const socket of this.#server.clients) socket.close(code, reason);
  }

  /** Connections that are open now. */
  get openNow(): number {
    return this.#server.clients.size;
  }

  cutAll(): void {
    for (const socket of this.#server.clients) socket.terminate();
  }

  async close(): Promise<void> {
    this.cutAll();
    this.#http.close();
    await once(this.#http, "close");
  }

  #serve(socket: WebSocket): void {
    this.connections++;
    this.protocols.push(socket.protocol);
    socket.on("close", () => this.#subscribed.delete(socket));
    let refused = false;
    socket.on("message", (data: Buffer) => {
      for (const line of data.toString().split("\n")) {
        const command = JSON.parse(line) as Command;
        this.commands.push(command);
        if (command.op === "auth" && !this.deaf) {
          const answer = this.auth(command.token!);
          refused = answer.ok === undefined;
          socket.send(JSON.stringify({ id: command.id, ...answer }));
        } else if (!refused) this.#do(socket, command);
      }
    });
  }

  #do(socket: WebSocket, command: Command): void {
    if (command.op === "sub") this.#subscribe(socket, command);
    if (command.op === "unsub") this.#subscribed.get(socket)?.delete(command.ch!);
    if (["unsub", "ping"].includes(command.op) && !this.deaf) socket.send(JSON.stringify({ id: command.id, ok: {} }));
  }

  #subscribe(socket: WebSocket, command: Command): void {
    const channel = command.ch!;
    const said = this.sub(command);
    if (said !== undefined) return socket.send(JSON.stringify({ id: command.id, ...said }));
    const from =
      command.cur !== undefined ? Number(command.cur.slice(1)) : command.from === "start" ? 0 : this.log.length;
    const recovered = command.cur === undefined && command.from === undefined ? {} : { recovered: true };
    // One frame with the reply, the replay and its end: a line each.
    const replay = this.log.slice(from).map((_, index) => this.#event(channel, from + index + 1));
    const reply = JSON.stringify({ id: command.id, ok: { ch: channel, c: `c${from}`, ...recovered } });
    socket.send([reply, ...replay, JSON.stringify({ ch: channel, pos: `c${this.log.length}` })].join("\n"));
    const channels = this.#subscribed.get(socket) ?? new Set();
    this.#subscribed.set(socket, channels.add(channel));
  }

  #event(channel: string, nth: number): string {
    return JSON.stringify({
      ch: channel,
      c: `c${nth}`,
      e: this.log[nth - 1],
      d: { id: `evt_${nth}`, type: this.log[nth - 1], data: {} },
    });
  }
}

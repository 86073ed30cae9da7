// A network between a client and a server, and what can become of it: it passes bytes on, holds them back as a route does that loses
// packets for a while, swallows them in silence as a pulled cable does, refuses, cuts with a FIN or a reset.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

export class TcpProxy {
  /** `host:port` that new connections go to. */
  target: string;
  /** Connections that were taken, silent ones included. */
  accepted = 0;
  readonly #server: Server = createServer((near) => this.#take(near));
  readonly #pairs = new Set<Pair>();
  readonly #forgotten = new Set<Pair>();
  /** Dialled while nothing came through. */
  readonly #dialling = new Set<Socket>();
  #silent = false;
  #held = false;
  #refuses = false;

  constructor(targetUrl: string) {
    this.target = new URL(targetUrl).host;
  }

  static async to(targetUrl: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetUrl);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get open(): number {
    return this.#pairs.size;
  }

  /** The cable is pulled: nothing arrives on either side, no end is told; who dials is left waiting. */
  goSilent(): void {
    this.#silent = true;
  }

  /** The cable is back. Connections from before are dead: what they lost is not repeated, so they are reset. */
  comeBack(): void {
    this.reset();
    this.#silent = false;
  }

  /** The route loses every packet, and TCP sends them again and again: nothing arrives, no end is told, who dials waits. */
  hold(): void {
    this.#held = true;
    for (const { near, far } of this.#pairs) for (const socket of [near, far]) socket.pause();
  }

  /** Packets come through again, those from meanwhile too, and each end that was closed meanwhile. */
  release(): void {
    this.#held = false;
    for (const { near, far } of this.#pairs) for (const socket of [near, far]) socket.resume();
    for (const near of this.#dialling) this.#connect(near);
    this.#dialling.clear();
  }

  /** As a firewall that lost its table: what is connected hears nothing more, for ever, and new connections come through. */
  forget(): void {
    for (const pair of this.#pairs) {
      for (const socket of [pair.near, pair.far]) socket.pause();
      this.#forgotten.add(pair);
    }
    this.#pairs.clear();
  }

  /** FIN to both sides, and to everyone who dials. What is under way is lost. */
  cut(): void {
    this.#refuses = true;
    for (const { near, far } of this.#pairs) for (const socket of [near, far]) socket.destroy();
  }

  mend(): void {
    this.#refuses = false;
  }

  /** RST to both sides. */
  reset(): void {
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
    this.#pairs.clear();
  }

  async close(): Promise<void> {
    for (const pair of this.#forgotten) this.#pairs.add(pair);
    this.reset();
    for (const near of this.#dialling) near.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #take(near: Socket): void {
    this.accepted++;
    near.on("error", () => undefined); // a close follows
    if (this.#refuses) return void near.destroy();
    if (!this.#held) return this.#connect(near);
    this.#dialling.add(near);
    near.on("close", () => this.#dialling.delete(near));
  }

  #connect(near: Socket): void {
    const { hostname, port } = new URL(`tcp://${this.target}`);
    const pair: Pair = { near, far: connect(Number(port), hostname) };
    pair.far.on("error", () => undefined);
    this.#pairs.add(pair);
    this.#pass(near, pair.far, pair);
    this.#pass(pair.far, near, pair);
  }

  #pass(from: Socket, to: Socket, pair: Pair): void {
    from.on("data", (bytes) => {
      if (!this.#silent) to.write(bytes);
    });
    from.on("close", () => {
      if (this.#silent) return; // nobody hears of it
      this.#pairs.delete(pair);
      to.destroy();
    });
  }
}

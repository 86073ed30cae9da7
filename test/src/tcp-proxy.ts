// A network between a client and a server: passes bytes on, swallows them in silence as a pulled cable does, cuts with a reset.

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
  #silent = false;

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
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
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

  /** RST to both sides. */
  reset(): void {
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
    this.#pairs.clear();
  }

  async close(): Promise<void> {
    this.reset();
    this.#server.close();
    await once(this.#server, "close");
  }

  #take(near: Socket): void {
    this.accepted++;
    const { hostname, port } = new URL(`tcp://${this.target}`);
    const pair: Pair = { near, far: connect(Number(port), hostname) };
    this.#pairs.add(pair);
    this.#pass(near, pair.far, pair);
    this.#pass(pair.far, near, pair);
  }

  #pass(from: Socket, to: Socket, pair: Pair): void {
    from.on("data", (bytes) => {
      if (!this.#silent) to.write(bytes);
    });
    from.on("error", () => undefined); // a close follows
    from.on("close", () => {
      if (this.#silent) return; // nobody hears of it
      this.#pairs.delete(pair);
      to.destroy();
    });
  }
}

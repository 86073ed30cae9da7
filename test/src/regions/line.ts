// A line between two servers that can be cut: a TCP proxy. What is under way at the cut is lost, as on a real line.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class Line {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port = 0;
  #isCut = false;

  private constructor(targetPort: number) {
    this.#server = createServer((near) => {
      if (this.#isCut) {
        near.destroy();
        return;
      }
      const far = connect(targetPort, "127.0.0.1");
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(one);
        one.on("error", () => undefined); // a close follows
        one.on("close", () => (this.#sockets.delete(one), other.destroy()));
        one.pipe(other);
      }
    });
  }

  static async to(port: number): Promise<Line> {
    const line = new Line(port);
    line.#server.listen(0, "127.0.0.1");
    await once(line.#server, "listening");
    line.#port = (line.#server.address() as AddressInfo).port;
    return line;
  }

  get port(): number {
    return this.#port;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }
}

// The cheapest HTTP client that keeps its connection: prepared bytes out, a status and a content-length in. One request at a
// time; the load must not take the processor away from what is measured.

import { type Socket, connect } from "node:net";

export interface Target {
  url: string;
  path: string;
  apiKey?: string;
}

/** The request as it goes over the wire. */
export function requestBytes({ url, path, apiKey }: Target, idempotencyKey: string, body: string): Buffer {
  const lines = [
    `POST ${path} HTTP/1.1`,
    `host: ${new URL(url).host}`,
    ...(apiKey === undefined ? [] : [`authorization: Bearer ${apiKey}`]),
    `idempotency-key: ${idempotencyKey}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n${body}`);
}

export function getBytes({ url, path, apiKey }: Target): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nhost: ${new URL(url).host}\r\nauthorization: Bearer ${apiKey}\r\n\r\n`);
}

export class HttpConnection {
  readonly #socket: Socket;
  #text = "";
  #wanted = "";
  #resolve: (body: string) => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding("latin1");
    socket.on("data", (chunk) => this.#receive(String(chunk)));
    socket.on("error", (error) => this.#reject(error));
    socket.on("close", () => this.#reject(new Error("the server closed the connection")));
  }

  static async open(url: string): Promise<HttpConnection> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port) });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new HttpConnection(socket);
  }

  /** The body of a 202; anything else is an error. */
  post(request: Buffer): Promise<string> {
    return this.#ask(request, "202");
  }

  /** The body of a 200; anything else is an error. */
  get(request: Buffer): Promise<string> {
    return this.#ask(request, "200");
  }

  #ask(request: Buffer, wanted: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#wanted = wanted;
      this.#resolve = resolve;
      this.#reject = reject;
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(chunk: string): void {
    this.#text += chunk;
    const head = this.#text.indexOf("\r\n\r\n");
    if (head < 0) return;
    const length = /\r\ncontent-length: *(\d+)/i.exec(this.#text.slice(0, head + 2))?.[1];
    const end = head + 4 + Number(length ?? 0);
    if (this.#text.length < end) return;
    const status = this.#text.slice(9, 12);
    const body = this.#text.slice(head + 4, end);
    this.#text = this.#text.slice(end);
    if (status === this.#wanted) this.#resolve(body);
    else this.#reject(new Error(`HTTP ${status}: ${body}`));
  }
}

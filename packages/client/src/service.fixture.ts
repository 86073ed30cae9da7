// A protocol peer over node:http for the client's own behaviour: answers as the test says and remembers what it was asked.

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type ErrorCode, OutcryError, problemOf } from "@outcry/protocol";

export interface Asked {
  method: string;
  path: string;
  headers: IncomingMessage["headers"];
  body: unknown;
}

export type Said =
  | { status: number; body?: unknown; headers?: Record<string, string> }
  /** The request arrives, the connection is cut: its outcome is unknown. */
  | "cut"
  | "never";

export class PeerService {
  readonly asked: Asked[] = [];
  /** By the number of the request, from 0. */
  answer: (asked: Asked, nth: number) => Said | Promise<Said> = () => ({ status: 500 });
  readonly server: Server = createServer();

  async open(): Promise<this> {
    this.server.on("request", (request, response) => {
      void (async () => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        const text = Buffer.concat(chunks).toString();
        const asked = {
          method: request.method!,
          path: request.url!,
          headers: request.headers,
          body: text === "" ? undefined : (JSON.parse(text) as unknown),
        };
        const said = await this.answer(asked, this.asked.push(asked) - 1);
        if (said === "never") return;
        if (said === "cut") {
          request.socket.destroy();
          return;
        }
        response.writeHead(said.status, { "content-type": "application/json", ...said.headers });
        response.end(
          said.body === undefined ? "" : typeof said.body === "string" ? said.body : JSON.stringify(said.body),
        );
      })();
    });
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }
}

export const problem = (code: ErrorCode, detail?: string, headers: Record<string, string> = {}): Said => {
  const error = new OutcryError(code, detail);
  return {
    status: error.httpStatus,
    body: problemOf(error, "req_problem"),
    headers: { "content-type": "application/problem+json", ...headers },
  };
};

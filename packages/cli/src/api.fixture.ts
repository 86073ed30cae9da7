// The API as the command line sees it, for its tests: answers as told, remembers what it was asked, and runs commands against itself.

import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type ErrorCode, OutcryError, problemOf } from "@outcry/protocol";
import { WebSocketServer } from "ws";
import { runCommand } from "./run-command.js";

export interface Ran {
  code: number;
  out: string;
  err: string;
}

export interface Asked {
  method: string;
  path: string;
  body: unknown;
  headers: Record<string, unknown>;
}

export class PeerApi {
  readonly asked: Asked[] = [];
  answer: (path: string) => [status: number, body: unknown] = () => [200, { data: [], has_more: false }];
  readonly #server: Server = createServer();
  readonly events = new WebSocketServer({ server: this.#server, path: "/v1/ws" });

  async open(): Promise<this> {
    this.#server.on("request", (request, response) => {
      void (async () => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        const text = Buffer.concat(chunks).toString();
        const body: unknown = text === "" ? undefined : JSON.parse(text);
        this.asked.push({ method: request.method!, path: request.url!, body, headers: request.headers });
        const [status, answer] = this.answer(request.url!);
        response.writeHead(status, { "content-type": "application/json" });
        response.end(status === 204 ? "" : JSON.stringify(answer));
      })();
    });
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** `outcry …` in this process. */
  async outcry(args: string[], more: { env?: Record<string, string>; input?: string } = {}): Promise<Ran> {
    const ran = { out: "", err: "" };
    const code = await runCommand(args, {
      env: { OUTCRY_URL: this.url, OUTCRY_API_KEY: "key", ...more.env },
      out: (text) => void (ran.out += text),
      err: (text) => void (ran.err += text),
      readInput: () => Promise.resolve(more.input ?? ""),
      signal: new AbortController().signal,
    });
    return { code, ...ran };
  }

  async close(): Promise<void> {
    for (const socket of this.events.clients) socket.terminate();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}

export const problem = (code: ErrorCode, pointers: OutcryError["pointers"] = []): [number, unknown] => {
  const error = new OutcryError(code, "told so", { pointers });
  return [error.httpStatus, problemOf(error, "req_1")];
};

// HTTP requests as they are: no client in between that would put a path or a header right.

import { Agent, request } from "node:http";
import type { RawAnswer } from "./judge-answer.js";

const ANSWER_WITHIN_MS = 20_000;

export interface RawRequest {
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: Uint8Array;
}

export interface RawHttp {
  ask(request: RawRequest): Promise<RawAnswer>;
  close(): void;
}

export function rawHttp(url: string): RawHttp {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  const { hostname, port } = new URL(url);
  return {
    ask: ({ method, path, headers = {}, body }) =>
      new Promise((resolve) => {
        const startedAt = performance.now();
        const answered = (answer: Partial<RawAnswer>) =>
          resolve({
            status: 0,
            contentType: "",
            requestId: "",
            text: "",
            ...answer,
            tookMs: Math.round(performance.now() - startedAt),
          });
        const length = body === undefined ? {} : { "content-length": String(body.length) };
        const sent = request(
          { agent, hostname, port, method, path, headers: { ...length, ...headers } },
          (response) => {
            const chunks: Buffer[] = [];
            response.on("data", (chunk: Buffer) => chunks.push(chunk));
            response.on("end", () =>
              answered({
                status: response.statusCode ?? 0,
                contentType: response.headers["content-type"] ?? "",
                requestId: String(response.headers["x-request-id"] ?? ""),
                text: Buffer.concat(chunks).toString("utf8"),
              }),
            );
            response.on("error", (error) => answered({ text: String(error) }));
          },
        );
        sent.setTimeout(ANSWER_WITHIN_MS, () => sent.destroy(new Error("no answer in time")));
        sent.on("error", (error) => answered({ text: String(error) }));
        sent.end(body);
      }),
    close: () => agent.destroy(),
  };
}

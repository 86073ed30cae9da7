// The bounds of packages/ws-gateway/src/limits.ts on the gateway's own server: Node's are 60 s for headers and 120 s for a TLS handshake.

import { afterEach, describe, expect, test } from "@jest/globals";
import { once } from "node:events";
import { type AddressInfo, connect, type Socket } from "node:net";
import path from "node:path";
import { GATEWAY_LIMITS } from "@outcry/ws-gateway";
import { createHttp } from "./create-http.js";

const QUICK = { ...GATEWAY_LIMITS, headersMs: 300, headersCheckMs: 20 };
const tls = (file: string) => path.resolve(import.meta.dirname, "../../../test/fixtures/tls", file);
const PLAIN = { tlsCertFile: undefined, tlsKeyFile: undefined };
const SECURE = { tlsCertFile: tls("server.pem"), tlsKeyFile: tls("server.key") };

let app: ReturnType<typeof createHttp>;
afterEach(() => app.close());

async function connected(...how: Parameters<typeof createHttp>): Promise<Socket> {
  app = createHttp(...how);
  await app.listen({ host: "127.0.0.1", port: 0 });
  return connect((app.server.address() as AddressInfo).port, "127.0.0.1");
}

describe("the gateway's own HTTP server", () => {
  test("has the limits, and answers headers beyond them with 431", async () => {
    const socket = await connected(PLAIN);
    const server = app.server as typeof app.server & { headersTimeout: number };
    expect([server.headersTimeout, server.requestTimeout, server.maxConnections]).toEqual([
      GATEWAY_LIMITS.headersMs,
      GATEWAY_LIMITS.headersMs,
      GATEWAY_LIMITS.socketsMax,
    ]);
    socket.write(`GET / HTTP/1.1\r\nHost: x\r\nCookie: ${"x".repeat(GATEWAY_LIMITS.headersBytesMax)}\r\n\r\n`);
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 431 /);
    socket.destroy();
  });

  test.each([
    ["half a request", PLAIN, "GET /v1/ws HTTP/1.1\r\nHost: x\r\n"],
    ["half a TLS handshake", SECURE, Buffer.of(0x16, 0x03, 0x01, 0x02, 0x00)],
  ])("closes a socket that says %s and then nothing", async (_name, config, text) => {
    const socket = await connected(config, QUICK);
    socket.on("error", () => undefined);
    socket.resume();
    socket.write(text);
    const since = performance.now();
    await once(socket, "close");
    expect(performance.now() - since).toBeLessThan(5_000);
  });
});

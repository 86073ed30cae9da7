import { afterEach, expect, test } from "@jest/globals";
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { GATEWAY_LIMITS } from "@outcry/ws-gateway";
import { createHttp } from "./create-http.js";

const app = createHttp({ tlsCertFile: undefined, tlsKeyFile: undefined });
afterEach(() => app.close());

test("slow and large requests, and sockets without one, meet the gateway's limits and not Node's", async () => {
  await app.listen({ host: "127.0.0.1", port: 0 });
  const server = app.server as typeof app.server & { headersTimeout: number };
  expect([server.headersTimeout, server.requestTimeout, server.maxConnections]).toEqual([
    GATEWAY_LIMITS.headersMs,
    GATEWAY_LIMITS.headersMs,
    GATEWAY_LIMITS.socketsMax,
  ]);
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.write(`GET / HTTP/1.1\r\nHost: x\r\nCookie: ${"x".repeat(GATEWAY_LIMITS.headersBytesMax)}\r\n\r\n`);
  const [answer] = (await once(socket, "data")) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 431 /);
  socket.destroy();
});

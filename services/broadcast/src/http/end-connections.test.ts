import { afterEach, describe, expect, test } from "@jest/globals";
import { once } from "node:events";
import { type AddressInfo, connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type FastifyInstance, fastify } from "fastify";
import { endConnectionsOnClose } from "@outcry/runtime";

const ANSWER_MS = 300;
const SOON_MS = 5_000; // without it 10 s and more

const sockets: Socket[] = [];
afterEach(() => sockets.splice(0).forEach((socket) => socket.destroy()));

async function listening(): Promise<FastifyInstance> {
  const app = fastify({ keepAliveTimeout: 65_000, http: { headersTimeout: 10_000 } });
  endConnectionsOnClose(app);
  app.get("/", async () => sleep(ANSWER_MS, "answered"));
  await app.listen({ host: "127.0.0.1", port: 0 });
  return app;
}

async function connected(app: FastifyInstance, says: string): Promise<{ socket: Socket; heard: () => string }> {
  const socket = connect((app.server.address() as AddressInfo).port, "127.0.0.1");
  sockets.push(socket);
  let heard = "";
  socket.setEncoding("utf8").on("data", (text: string) => (heard += text));
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.write(says);
  return { socket, heard: () => heard };
}

const GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

async function closesSoon(app: FastifyInstance, ...peers: Socket[]): Promise<void> {
  const startedAt = performance.now();
  await Promise.all([app.close(), ...peers.map((socket) => once(socket, "close"))]);
  expect(performance.now() - startedAt).toBeLessThan(SOON_MS);
}

describe("a server that closes", () => {
  test("answers what was asked, says that the connection ends, and ends it", async () => {
    const app = await listening();
    const peer = await connected(app, GET);
    await sleep(ANSWER_MS / 3);
    await closesSoon(app, peer.socket);
    expect(peer.heard()).toMatch(/^HTTP\/1\.1 200 [^]*connection: close\r\n[^]*answered$/i);
  });

  test.each([
    ["nothing", ""],
    ["half a request", "GET / HTTP/1.1\r\nHost:"],
  ])("does not wait for a connection that has said %s", async (_name, says) => {
    const app = await listening();
    const peer = await connected(app, says);
    await sleep(ANSWER_MS / 3);
    await closesSoon(app, peer.socket);
    expect(peer.heard()).toBe("");
  });

  test("that never listened closes, too", async () => {
    const app = fastify();
    endConnectionsOnClose(app);
    await app.ready();
    await closesSoon(app);
  });
});

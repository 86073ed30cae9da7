// Threat 15: whatever is registered, and whatever a name resolves to, no socket is opened to the inside.

import { createHook } from "node:async_hooks";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { LIMITS, systemClock } from "@outcry/protocol";
import { checkTargetText, type ResolveHost, type TargetRules } from "./check-target.js";
import { HOSTILE_ADDRESSES, HOSTILE_URLS, PUBLIC_ADDRESSES } from "./hostile-targets.fixture.js";
import { KeptConnections } from "./kept-connections.js";
import { type PostResult, postWebhook } from "./post-webhook.js";
import { isPublicAddress } from "./public-address.js";

const STRICT: TargetRules = { ports: [443], allowPrivate: false };
const DEVELOPMENT: TargetRules = { ports: [443], allowPrivate: true };
const tls = (file: string) =>
  readFileSync(path.resolve(import.meta.dirname, "../../../../test/fixtures/tls", file), "utf8");

// Each TCP connection that this process attempts, successful or not.
let connects = 0;
const hook = createHook({ init: (_id, type) => void (type === "TCPCONNECTWRAP" && connects++) });
const server = createServer({ cert: tls("server.pem"), key: tls("server.key") });
let accepted = 0;
let served: { host: string | undefined; sni: string | false | null; body: string }[] = [];
let answer = (response: ServerResponse) => void response.writeHead(204).end();
let port: number;

beforeAll(async () => {
  server.on("connection", () => accepted++);
  server.on("request", (request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const { servername } = request.socket as Socket & { servername: string | false | null };
      served.push({ host: request.headers.host, sni: servername, body: Buffer.concat(parts).toString() });
      answer(response);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ({ port } = server.address() as AddressInfo);
  hook.enable();
});
beforeEach(() => {
  [connects, accepted, served] = [0, 0, []];
  answer = (response) => void response.writeHead(204).end();
});
afterAll(async () => {
  hook.disable();
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

const to =
  (...addresses: string[]): ResolveHost =>
  async () =>
    addresses;
const post = (url: string) => ({ url, headers: { "content-type": "application/json" }, body: Buffer.from("{}") });
const send = (url: string, resolve: ResolveHost, rules = STRICT, timeoutMs = 2_000): Promise<PostResult> =>
  postWebhook({ rules, resolve, timeoutMs, clock: systemClock, ca: tls("ca.pem") }, post(url));

describe("the inside of the network", () => {
  test("is not reached by any of the hostile URLs", async () => {
    expect(new Set(HOSTILE_URLS).size).toBeGreaterThanOrEqual(57);
    for (const url of HOSTILE_URLS) {
      expect([url, checkTargetText(url, STRICT).kind]).toEqual([url, "refused"]);
      // Even from a name server that gives a public address for everything.
      expect([url, (await send(url, to("93.184.216.34"))).kind]).toEqual([url, "refused"]);
    }
    expect(connects).toBe(0);
  });

  test("is not reached through any name that resolves to it, alone or beside a public address", async () => {
    for (const address of HOSTILE_ADDRESSES) {
      expect([address, isPublicAddress(address)]).toEqual([address, false]);
      for (const resolve of [to(address), to("93.184.216.34", address), to(address, "2606:4700::1111")])
        expect([address, await send("https://hooks.example.com/", resolve)]).toEqual([
          address,
          { kind: "refused", error: "its host resolves to an address that is not public" },
        ]);
    }
    expect(connects).toBe(0);
    for (const address of PUBLIC_ADDRESSES) expect([address, isPublicAddress(address)]).toEqual([address, true]);
  });

  test("is not reached by a name server that answers differently the second time", async () => {
    let asked = 0;
    const rebinding: ResolveHost = async () => (asked++ === 0 ? ["192.0.2.1"] : ["127.0.0.1"]);
    // Development rules, so that the first answer is connected to at all: the second must never be asked for.
    const sent = await send(`https://localhost:${port}/`, rebinding, DEVELOPMENT, 300);
    expect([asked, sent.kind, accepted]).toEqual([1, "failed", 0]);
    const strict = [await send("https://hooks.example.com/", rebinding), asked];
    expect(strict).toEqual([{ kind: "refused", error: "its host resolves to an address that is not public" }, 2]);
    expect(accepted).toBe(0);
  });

  test("is not reached by a redirect", async () => {
    answer = (response) => void response.writeHead(302, { location: `https://127.0.0.1:${port}/inside` }).end();
    expect(await send(`https://localhost:${port}/`, to("127.0.0.1"), DEVELOPMENT)).toMatchObject({ status: 302 });
    expect([served.length, connects]).toEqual([1, 1]);
  });
});

describe("a receiver", () => {
  test("is called at the checked address under its own name, which its certificate must hold", async () => {
    const url = `https://localhost:${port}/hooks`;
    expect(await send(url, to("127.0.0.1"), DEVELOPMENT)).toEqual({ kind: "answered", status: 204, body: "" });
    expect(served).toEqual([{ host: `localhost:${port}`, sni: "localhost", body: "{}" }]);
    const other = await send(`https://hooks.example.com:${port}/`, to("127.0.0.1"), DEVELOPMENT);
    expect(other).toEqual({ kind: "failed", error: "the connection failed: ERR_TLS_CERT_ALTNAME_INVALID" });
    expect(served).toHaveLength(1);
  });

  test("that answers without end is heard for one KiB", async () => {
    let written = 0;
    answer = (response) => {
      response.writeHead(200);
      const drip = setInterval(() => response.write("x".repeat(600)) && (written += 600), 5);
      response.on("close", () => clearInterval(drip));
    };
    const sent = await send(`https://localhost:${port}/`, to("127.0.0.1"), DEVELOPMENT);
    expect(sent).toEqual({ kind: "answered", status: 200, body: "x".repeat(1_024) });
    expect(written).toBeLessThan(64 * 1_024);
  });

  test("that is silent, or drips its answer, is given up in time", async () => {
    const startedAt = performance.now();
    answer = () => undefined;
    expect(await send(`https://localhost:${port}/`, to("127.0.0.1"), DEVELOPMENT, 200)).toMatchObject({
      kind: "failed",
      error: "no answer in time",
    });
    answer = (response) => void response.writeHead(200).write("x");
    expect(await send(`https://localhost:${port}/`, to("127.0.0.1"), DEVELOPMENT, 200)).toMatchObject({
      kind: "failed",
    });
    const never: ResolveHost = () => new Promise(() => undefined);
    expect(await send("https://hooks.example.com/", never, STRICT, 200)).toMatchObject({ kind: "refused" });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });

  test("that switches protocols has answered 101, and holds nothing up", async () => {
    answer = (response) => {
      const { socket } = response;
      socket!.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n");
    };
    const sent = await send(`https://localhost:${port}/`, to("127.0.0.1"), DEVELOPMENT, 1_000);
    expect(sent).toEqual({ kind: "answered", status: 101, body: "" });
  });
});

describe("a kept connection", () => {
  const URL_HERE = () => `https://localhost:${port}/`;
  let nowMs = 1_000_000;
  let addresses: string[] = [];
  let asked = 0;
  const deps = () => ({
    rules: DEVELOPMENT,
    resolve: async () => (asked++, addresses),
    timeoutMs: 2_000,
    clock: { now: () => nowMs },
    ca: tls("ca.pem"),
  });
  let kept: KeptConnections;
  beforeEach(() => {
    [addresses, asked] = [["127.0.0.1"], 0];
    kept = new KeptConnections(deps());
  });
  afterEach(() => kept.close());
  const sendKept = (url = URL_HERE()) => postWebhook(deps(), post(url), kept);
  const statusOf = (sent: PostResult) => (sent.kind === "answered" ? sent.status : sent.error);

  test("carries one request after another, and its name is asked for once in ten seconds", async () => {
    for (let nth = 0; nth < 20; nth++) expect(statusOf(await sendKept())).toBe(204);
    expect([served.length, accepted, asked]).toEqual([20, 1, 1]);
    nowMs += LIMITS.webhookRecheckMs;
    expect(statusOf(await sendKept())).toBe(204);
    expect([accepted, asked]).toEqual([1, 2]); // the same address: the connection stays
    nowMs -= 3_600_000; // the machine's clock is set back
    expect(statusOf(await sendKept())).toBe(204);
    expect([accepted, asked]).toEqual([1, 3]);
  });

  test("is used no more once its name resolves elsewhere", async () => {
    expect(statusOf(await sendKept())).toBe(204);
    addresses = ["127.0.0.1", "127.0.0.2"];
    nowMs += LIMITS.webhookRecheckMs;
    expect(statusOf(await sendKept())).toBe(204);
    expect([served.length, accepted]).toEqual([2, 2]);
  });

  test("is used no more once its name resolves to the inside, or not at all", async () => {
    const rules: TargetRules = { ports: [port], allowPrivate: false };
    // A public address that is this machine: what a rebinding name server would have us believe.
    let inside = false;
    const answers: ResolveHost = async () => [inside ? "127.0.0.1" : "93.184.216.34"];
    const strict = { ...deps(), rules, resolve: answers, timeoutMs: 300 };
    const connections = new KeptConnections(strict);
    const first = await connections.route(`https://hooks.example.com:${port}/`);
    expect(first).toMatchObject({ kind: "ok", addresses: ["93.184.216.34"] });
    inside = true;
    nowMs += LIMITS.webhookRecheckMs;
    connects = 0;
    const sent = await postWebhook(strict, post(`https://hooks.example.com:${port}/`), connections);
    expect(sent).toEqual({ kind: "refused", error: "its host resolves to an address that is not public" });
    expect([connects, accepted]).toEqual([0, 0]);
    connections.close();

    expect(statusOf(await sendKept())).toBe(204);
    addresses = [];
    nowMs += LIMITS.webhookRecheckMs;
    expect(statusOf(await sendKept())).toBe("its host does not resolve");
    addresses = ["127.0.0.1"];
    expect(statusOf(await sendKept())).toBe(204);
    expect(accepted).toBe(2); // nothing was left of the first one
  });

  test("is not shared with another URL of the webhook", async () => {
    expect(statusOf(await sendKept())).toBe(204);
    expect(statusOf(await sendKept(`${URL_HERE()}moved`))).toBe(204);
    expect([accepted, asked]).toEqual([2, 2]);
  });

  test("that the receiver closes under a request is replaced, and the attempt goes on", async () => {
    expect(statusOf(await sendKept())).toBe(204);
    let cut = true;
    answer = (response) => {
      if (cut) response.socket!.destroy();
      else response.writeHead(204).end();
      cut = false;
    };
    expect(statusOf(await sendKept())).toBe(204);
    expect([served.length, accepted]).toEqual([3, 2]);
    answer = (response) => void response.socket!.destroy();
    expect(statusOf(await sendKept())).toBe("the connection failed: ECONNRESET");
  });

  test("is dropped when an answer is longer than what is heard of it", async () => {
    answer = (response) => void response.writeHead(200).end("x".repeat(100_000));
    for (let nth = 0; nth < 3; nth++) expect(statusOf(await sendKept())).toBe(200);
    expect(accepted).toBe(3);
  });
});

// One socket at a time, over the in-memory source: docs/gateway-protocol.md §1, §2, §5.5, §5.6. Real sockets, the `ws` client.

import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { startGateway, TestClient, type TestGateway, testPolicy } from "../engine.fixture.js";
import { MemorySource } from "../log/memory-source.fixture.js";
import { eventually } from "../nats-server.fixture.js";
import { upgrade } from "../transport/upgrade.fixture.js";

const QUICK = { sweepMs: 10, authMs: 100, pingMs: 100, pongMs: 100, stallMs: 200, closeMs: 200, drainMs: 50 };

let source: MemorySource;
let gateway: TestGateway;

beforeEach(async () => {
  source = new MemorySource();
  gateway = await startGateway(source);
});
afterEach(() => gateway.stop());

async function restart(more: Parameters<typeof startGateway>[1]): Promise<void> {
  await gateway.stop();
  gateway = await startGateway(source, more);
}

const closed = async (client: TestClient) => {
  await eventually(() => client.closed !== undefined);
  return client.closed!.code;
};

describe("opening", () => {
  test("1.1: outcry.v1 is selected, or nothing is offered; another subprotocol alone is refused", async () => {
    const named = new TestClient(gateway.url, { protocols: ["other", "outcry.v1"] });
    await once(named.ws, "open");
    expect(named.ws.protocol).toBe("outcry.v1");
    const plain = new TestClient(gateway.url, { protocols: [] });
    await once(plain.ws, "open");
    const other = new TestClient(gateway.url, { protocols: ["other"] });
    const [, answer] = (await once(other.ws, "unexpected-response")) as [unknown, { statusCode: number }];
    expect(answer.statusCode).toBe(400);
    other.ws.terminate();
    await named.close();
    await plain.close();
  });

  test("1.2: a foreign Origin is refused with a problem, an allowed one and none are accepted", async () => {
    await restart({ allowedOrigins: ["https://shop.example"] });
    const allowed = new TestClient(gateway.url, { origin: "https://shop.example" });
    await once(allowed.ws, "open");
    const none = new TestClient(gateway.url);
    await once(none.ws, "open");
    const { status, body } = await upgrade(gateway.url, { Origin: "https://evil.example" });
    expect(status).toBe(403);
    expect(JSON.parse(body)).toMatchObject({ code: "permission_denied", status: 403 });
    await allowed.close();
    await none.close();
  });

  test("1.3: beyond the bound of connections 503 says when to come back", async () => {
    await restart({ limits: { connectionsMax: 1 } });
    const first = await TestClient.open(gateway.url);
    const { status, headers } = await upgrade(gateway.url);
    expect(status).toBe(503);
    expect(headers["retry-after"]).toBe("1");
    await first.close();
    await eventually(() => gateway.engine.connections === 0);
    await (await TestClient.open(gateway.url)).close();
  });

  test("1.3: sockets without identity have their own bound", async () => {
    await restart({ limits: { unauthenticatedMax: 1 } });
    const known = await TestClient.open(gateway.url);
    const silent = new TestClient(gateway.url);
    await once(silent.ws, "open");
    expect((await upgrade(gateway.url)).status).toBe(503);
    await silent.close();
    await known.close();
  });
});

describe("identity", () => {
  test("2.1: silence is closed with 4015 after the deadline, pings do not extend it", async () => {
    await restart({ limits: QUICK });
    const client = new TestClient(gateway.url);
    await once(client.ws, "open");
    client.ws.ping();
    expect(await closed(client)).toBe(4015);
    expect(client.byes).toEqual([{ n: 4015, code: "auth_timeout", after_ms: 0 }]);
  });

  test("2.1: so is a token that came and could not be checked until then", async () => {
    const policy = { ...testPolicy, authenticate: () => new Promise<never>(() => undefined) };
    await restart({ limits: QUICK, policy });
    const client = new TestClient(gateway.url);
    await once(client.ws, "open");
    client.ws.send('{"id":1,"op":"auth","token":"alice"}');
    expect(await closed(client)).toBe(4015);
  });

  test("2.2: auth is answered with the connection's id; a refused token and anything before auth end it", async () => {
    const good = new TestClient(gateway.url);
    await once(good.ws, "open");
    expect((await good.command({ op: "auth", token: "alice" })).ok).toMatchObject({
      conn: expect.stringMatching(/^con_/),
      role: "buyer",
      ping_ms: 25_000,
    });
    await good.close();
    const bad = new TestClient(gateway.url);
    await once(bad.ws, "open");
    expect((await bad.command({ op: "auth", token: "bad" })).err).toMatchObject({
      code: "credentials_invalid",
      retry: "never",
    });
    expect(await closed(bad)).toBe(4500);
    const early = new TestClient(gateway.url);
    await once(early.ws, "open");
    expect((await early.command({ op: "sub", ch: "all:" })).err?.code).toBe("credentials_missing");
    expect(await closed(early)).toBe(4500);
  });

  test("2.6: commands that follow auth at once are carried out behind its reply, in their order", async () => {
    const client = new TestClient(gateway.url);
    await once(client.ws, "open");
    const commands = [
      { id: 1, op: "auth", token: "alice" },
      { id: 2, op: "sub", ch: "one:a" },
      { id: 3, op: "ping" },
    ];
    const later = { id: 4, op: "unsub", ch: "one:a" };
    const replies: unknown[] = [];
    client.ws.on("message", (data: Buffer) => {
      for (const line of data.toString().split("\n")) replies.push((JSON.parse(line) as { id?: unknown }).id);
    });
    client.ws.send(commands.map((command) => JSON.stringify(command)).join("\n"));
    client.ws.send(JSON.stringify(later));
    await eventually(() => replies.length >= 4);
    expect(replies[0]).toBe(1);
    expect(new Set(replies)).toEqual(new Set([1, 2, 3, 4]));
    await client.close();
  });

  test("2.6: a refused token carries out nothing, and of a stranger one frame's worth is kept", async () => {
    const bad = new TestClient(gateway.url);
    await once(bad.ws, "open");
    const heard: string[] = [];
    bad.ws.on("message", (data: Buffer) => heard.push(data.toString()));
    bad.ws.send('{"id":1,"op":"auth","token":"bad"}\n{"id":2,"op":"sub","ch":"one:a"}');
    expect(await closed(bad)).toBe(4500);
    expect(heard.join("")).toContain("credentials_invalid");
    expect(heard.join("")).not.toContain('"id":2');
    await restart({ policy: { ...testPolicy, authenticate: () => new Promise<never>(() => undefined) } });
    const slow = new TestClient(gateway.url);
    await once(slow.ws, "open");
    slow.ws.send('{"id":1,"op":"auth","token":"never"}');
    const half = JSON.stringify({ id: 2, op: "sub", ch: "x".repeat(40_000) });
    slow.ws.send(half);
    slow.ws.send(half);
    expect(await closed(slow)).toBe(4013);
  });

  test("2.3: a renewed token keeps what it covers and ends the rest; another principal's is refused", async () => {
    const client = await TestClient.open(gateway.url, "chief");
    await client.subscribe("one:secret");
    await client.subscribe("one:x");
    expect((await client.command({ op: "auth", token: "chief@9999999999999" })).ok).toBeDefined();
    await eventually(() => client.heard.some(({ end }) => end !== undefined));
    expect(client.heard).toEqual([{ ch: "one:secret", end: { code: "channel_forbidden" } }]);
    source.publish("rt.t.g.x", 1);
    await eventually(() => client.numbers("one:x").length === 1);
    expect((await client.command({ op: "auth", token: "mallory" })).err?.code).toBe("permission_denied");
    expect(await closed(client)).toBe(4500);
  });

  test("2.4: an expired token closes with 4014", async () => {
    await restart({ limits: QUICK });
    const client = await TestClient.open(gateway.url, `alice@${Date.now() + 300}`);
    expect(await closed(client)).toBe(4014);
  });

  test("2.5: a revoked credential closes its connections with 4503 and no others", async () => {
    const revoked = await TestClient.open(gateway.url, "leaked");
    const other = await TestClient.open(gateway.url, "alice");
    expect(gateway.engine.revoke(({ credential }) => credential === "leaked")).toBe(1);
    expect(await closed(revoked)).toBe(4503);
    expect(other.closed).toBeUndefined();
    await other.close();
  });
});

describe("heartbeat", () => {
  test("5.5: answered pings keep it, an unanswered one closes with 4012", async () => {
    await restart({ limits: QUICK });
    const client = await TestClient.open(gateway.url);
    await eventually(() => client.pings >= 3);
    client.answering = false;
    expect(await closed(client)).toBe(4012);
  });

  test("5.5: heartbeat(connectionId) keeps a connection that does not answer", async () => {
    await restart({ limits: QUICK });
    const client = new TestClient(gateway.url);
    await once(client.ws, "open");
    const { ok } = await client.command({ op: "auth", token: "alice" });
    client.answering = false;
    const kept = setInterval(() => gateway.engine.heartbeat(ok!.conn!), 20);
    await sleep(500);
    expect(client.closed).toBeUndefined();
    expect(gateway.engine.heartbeat("con_unknown")).toBe(false);
    clearInterval(kept);
    expect(await closed(client)).toBe(4012);
  });

  test("5.2: with a ping the cursors of quiet channels move to the head, those of busy ones are left", async () => {
    await restart({ limits: QUICK });
    const client = await TestClient.open(gateway.url);
    const { ok } = await client.subscribe("one:x");
    await client.subscribe("one:y");
    source.publish("rt.t.g.y", 1);
    await eventually(() => client.heard.some(({ pos }) => pos !== undefined));
    await sleep(250);
    const positions = client.heard.filter(({ pos }) => pos !== undefined);
    expect(positions).toHaveLength(1);
    expect(positions[0]!.ch).toBe("one:x");
    expect(positions[0]!.pos).not.toBe(ok!.c);
    await client.close();
  });
});

describe("leaving", () => {
  test("5.6: a drain advises a time to come back, closes with 1012, and refuses new ones", async () => {
    await restart({ limits: QUICK });
    const clients = await Promise.all(Array.from({ length: 5 }, () => TestClient.open(gateway.url)));
    const drained = gateway.engine.drain();
    expect(gateway.engine.unready).toBe("stopping");
    expect((await upgrade(gateway.url)).status).toBe(503);
    for (const client of clients) {
      expect(await closed(client)).toBe(1012);
      expect(client.byes).toEqual([{ n: 1012, code: "restart", after_ms: expect.any(Number) }]);
    }
    await drained;
    expect(gateway.engine.connections).toBe(0);
  });
});

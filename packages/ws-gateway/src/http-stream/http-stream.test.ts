// Streams over HTTP: docs/gateway-protocol.md §9, with the EventSource of npm (a browser's own: examples/buyer) and by hand.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { EventSource } from "eventsource";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { OutcryError } from "@outcry/protocol";
import { CLOSE } from "../transport/close-codes.js";
import { type Heard, startGateway, type TestGateway, testPolicy } from "../engine.fixture.js";
import { EventsWorld } from "../events-world.fixture.js";
import type { GatewayDeps } from "../gateway.js";
import { eventually } from "../nats-server.fixture.js";

let world: EventsWorld;
const open: EventSource[] = [];

beforeAll(async () => {
  world = await EventsWorld.start();
});
afterAll(async () => {
  for (const source of open.splice(0)) source.close();
  await world.remove();
});
beforeEach(async () => {
  for (const source of open.splice(0)) source.close();
  await world.renew();
});

const addressOf = ({ url }: TestGateway, query: string): string =>
  `${url.replace("ws:", "http:").replace("/v1/ws", "/v1/stream")}?${query}`;

async function gatewayWith(more: Partial<GatewayDeps>): Promise<TestGateway> {
  const limits = { tailCheckMs: 50, streamRetryMs: 100, ...more.limits };
  const gateway = await startGateway(world.source, { ...more, limits });
  world.gateways.push(gateway);
  return gateway;
}

/** What one EventSource hears, by the name of its event. */
function listen(address: string) {
  const source = new EventSource(address);
  open.push(source);
  const heard: { name: string; id: string; data: Heard & { ok?: object } }[] = [];
  const failures: (number | undefined)[] = [];
  for (const name of ["message", "subscribed", "cursor", "reset", "end", "bye"]) {
    source.addEventListener(name, ({ data, lastEventId: id }) =>
      heard.push({ name, id, data: JSON.parse(String(data)) as Heard }),
    );
  }
  source.addEventListener("error", ({ code }) => failures.push(code));
  const named = (wanted: string) => heard.filter(({ name }) => name === wanted);
  const numbers = () => named("message").map(({ data }) => data.d!.n);
  return { source, heard, failures, named, numbers };
}

describe("an EventSource", () => {
  test("9.1, 9.3: hears the channel's head first, then each event with its cursor as id", async () => {
    const gateway = await gatewayWith({});
    await world.publisher.publish("rt.t.g.x");
    const { named, numbers, heard } = listen(addressOf(gateway, "channel=one:x&access_token=alice"));
    await eventually(() => heard.length === 1);
    expect(named("subscribed")[0]!.data).toEqual({ ch: "one:x", c: named("subscribed")[0]!.id });
    await world.publisher.publish("rt.t.g.x");
    await world.publisher.publish("rt.t.g.y");
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => numbers().length === 2);
    expect(numbers()).toEqual([2, 4]);
    for (const { id, data } of named("message")) expect(data).toMatchObject({ ch: "one:x", c: id, e: "TICK" });
  });

  test("9.1: may rewind, and name the types that it wants", async () => {
    const gateway = await gatewayWith({});
    for (let n = 0; n < 8; n++) await world.publisher.publish("rt.t.g.x", { type: n % 2 === 0 ? "TICK" : "TOCK" });
    const asked = "channel=one:x&access_token=alice&rewind_count=2&types=TICK,OTHER";
    const { named, numbers } = listen(addressOf(gateway, asked));
    await eventually(() => named("cursor").length === 1);
    expect(numbers()).toEqual([5, 7]);
    const latest = listen(addressOf(gateway, "channel=one:x&access_token=alice&mode=latest"));
    await eventually(() => latest.named("cursor").length === 1);
    expect(latest.numbers()).toEqual([8]);
  });

  test("9.4: from=start replays the channel and says when the replay is over", async () => {
    const gateway = await gatewayWith({});
    for (let n = 0; n < 3; n++) await world.publisher.publish("rt.t.g.x");
    const { named, numbers } = listen(addressOf(gateway, "channel=one:x&access_token=alice&from=start"));
    await eventually(() => named("cursor").length === 1);
    expect(numbers()).toEqual([1, 2, 3]);
    expect(named("subscribed")[0]!.data).toMatchObject({ recovered: true });
  });

  test("9.4: comes back by itself behind broken connections, at another process too, and misses and doubles nothing", async () => {
    const gateway = await gatewayWith({});
    const { named, numbers } = listen(addressOf(gateway, "channel=all:&access_token=alice"));
    await eventually(() => named("subscribed").length === 1);
    for (let round = 1; round <= 5; round++) {
      for (let n = 0; n < 20; n++) await world.publisher.publish(`rt.t.g.${n % 3}`);
      gateway.server.closeAllConnections();
      for (let n = 0; n < 20; n++) await world.publisher.publish(`rt.t.h.${n % 3}`);
      await eventually(() => numbers().length === round * 40);
    }
    expect(numbers()).toEqual(world.publisher.numbers());
    expect(named("subscribed").length).toBeGreaterThan(5);
    for (const { data } of named("subscribed").slice(1)) expect(data).toMatchObject({ recovered: true });
  });

  test("9.6: is sent away by a stopping gateway with advice, and finds the next one", async () => {
    const first = await gatewayWith({});
    const { port } = new URL(addressOf(first, ""));
    const { named, numbers } = listen(addressOf(first, "channel=all:&access_token=alice"));
    await eventually(() => named("subscribed").length === 1);
    await first.engine.drain(50);
    await eventually(() => named("bye").length === 1);
    expect(named("bye")[0]!.data).toMatchObject({ bye: { code: "restart", n: 1012 } });
    await first.stop();
    world.gateways.splice(world.gateways.indexOf(first), 1);
    await world.publisher.publish("rt.t.g.x");
    const second = await gatewayWith({});
    // The EventSource keeps its address: a proxy in front of both would do this.
    second.server.close();
    second.server.listen(Number(port), "127.0.0.1");
    await eventually(() => numbers().length === 1);
    expect(named("subscribed").at(-1)!.data).toMatchObject({ recovered: true });
  });

  test("9.5: stops for good at a refused token or channel", async () => {
    const gateway = await gatewayWith({});
    for (const [query, status] of [
      ["channel=one:x&access_token=bad", 401],
      ["channel=one:secret&access_token=alice", 403],
      ["channel=one:x&cursor=forged&access_token=alice", 400],
    ] as const) {
      const { source, failures } = listen(addressOf(gateway, query));
      await eventually(() => source.readyState === source.CLOSED);
      expect(failures).toEqual([status]);
    }
    await eventually(() => gateway.engine.connections === 0);
  });

  test("9.5: stops for good when its token has expired, in mid-stream or before", async () => {
    const expiring: typeof testPolicy.authenticate = async (token) => {
      const answer = await testPolicy.authenticate(token);
      const expired = answer.kind === "ok" && (answer.principal.expiresAt ?? Infinity) <= Date.now();
      return expired ? { kind: "refused", code: "token_expired" } : answer;
    };
    const gateway = await gatewayWith({ policy: { ...testPolicy, authenticate: expiring }, limits: { sweepMs: 20 } });
    const { source, failures, named } = listen(
      addressOf(gateway, `channel=one:x&access_token=alice@${Date.now() + 400}`),
    );
    await eventually(() => source.readyState === source.CLOSED);
    expect(named("subscribed")).toHaveLength(1);
    expect(named("bye")[0]!.data).toMatchObject({ bye: { code: "token_expired", n: 4014 } });
    expect(failures.at(-1)).toBe(204);
  });

  test("9.5: goes on trying while what is needed is away", async () => {
    let away = true;
    const authenticate: typeof testPolicy.authenticate = (token) => {
      if (away) throw new OutcryError("dependency_unavailable");
      return testPolicy.authenticate(token);
    };
    const gateway = await gatewayWith({ policy: { ...testPolicy, authenticate } });
    const { named } = listen(addressOf(gateway, "channel=one:x&access_token=alice"));
    await eventually(() => named("bye").length >= 2);
    away = false;
    await eventually(() => named("subscribed").length === 1);
  });

  test("9.7: is ended when the right is revoked, and stays away", async () => {
    const gateway = await gatewayWith({});
    const { named } = listen(addressOf(gateway, "channel=one:x&access_token=alice"));
    await eventually(() => named("subscribed").length === 1);
    expect(gateway.engine.revoke(({ id }) => id === "alice")).toBe(1);
    await eventually(() => named("bye").length === 1);
    expect(named("bye")[0]!.data).toMatchObject({ bye: { code: CLOSE.revoked.code } });
    expect(gateway.closed).toEqual(["revoked"]);
  });
});

describe("by hand", () => {
  test("9.3: lines of JSON where they are accepted, with a ping when it is quiet", async () => {
    const gateway = await gatewayWith({ limits: { pingMs: 200, sweepMs: 20 } });
    const response = await fetch(addressOf(gateway, "channel=one:x&from=start"), {
      headers: { accept: "application/x-ndjson", authorization: "Bearer alice" },
    });
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    await world.publisher.publish("rt.t.g.x");
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of response.body!) {
      text += decoder.decode(chunk as Uint8Array);
      if (text.includes("{}\n")) break; // ends the request
    }
    const lines = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Heard & { ok?: { recovered: boolean } });
    expect(lines[0]!.ok).toMatchObject({ ch: "one:x", recovered: true });
    expect(lines.find(({ d }) => d !== undefined)).toMatchObject({ ch: "one:x", e: "TICK", d: { n: 1 } });
    await eventually(() => gateway.engine.connections === 0);
    expect(gateway.closed).toEqual(["by_peer"]);
  });

  test.each([
    ["", 400, "request_invalid"],
    ["channel=one:x&channel=one:y&access_token=alice", 400, "request_invalid"],
    ["channel=one:x&since=3&access_token=alice", 400, "request_invalid"],
    ["channel=one:x&from=end&access_token=alice", 400, "request_invalid"],
    ["channel=one:x", 401, "credentials_missing"],
    ["channel=one:x&access_token=bad", 401, "credentials_invalid"],
    [`channel=one:x&access_token=${"a".repeat(9_000)}`, 401, "credentials_invalid"],
    ["channel=nothing&access_token=alice", 403, "channel_forbidden"],
    [`channel=${"a".repeat(300)}&access_token=alice`, 400, "channel_invalid"],
    ["channel=one:x&cursor=AAAAAAAAAAAAAAAAAAAAAAa&access_token=alice", 400, "cursor_invalid"],
  ])("9.5: %s is a problem", async (query, status, code) => {
    const gateway = await gatewayWith({});
    const response = await fetch(addressOf(gateway, query));
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([status, code]);
    expect(gateway.engine.connections).toBe(0);
  });

  test("9.1: an origin that is not allowed is refused before the token is looked at", async () => {
    const gateway = await gatewayWith({ allowedOrigins: ["https://shop.example"] });
    const from = async (origin: string, method = "GET") => {
      const { status, headers } = await fetch(addressOf(gateway, "channel=one:x&access_token=bad"), {
        method,
        headers: { origin },
      });
      return [status, headers.get("access-control-allow-origin"), headers.get("access-control-allow-headers")];
    };
    expect(await from("https://shop.example")).toEqual([401, "https://shop.example", null]);
    expect(await from("https://evil.example")).toEqual([403, null, null]);
    const asked = expect.stringMatching(/^Authorization, .*Last-Event-ID/);
    expect(await from("https://shop.example", "OPTIONS")).toEqual([204, "https://shop.example", asked]);
    expect((await from("https://evil.example", "OPTIONS"))[1]).toBeNull();
    expect((await from("https://shop.example", "POST"))[0]).toBe(405);
  });

  test("a fault of ours ends that client alone", async () => {
    let broken = true;
    const policy = {
      ...testPolicy,
      authenticate: async (token: string) => (broken ? (undefined as never) : testPolicy.authenticate(token)),
    };
    const gateway = await gatewayWith({ policy });
    const address = addressOf(gateway, "channel=one:x&access_token=alice");
    await expect(fetch(address)).rejects.toThrow("fetch failed");
    broken = false;
    const { named } = listen(address);
    await eventually(() => named("subscribed").length === 1);
  });

  test("9.7: a reader that takes nothing is cut off, costs its queue at most, and resumes from its last id", async () => {
    const limits = { queueBytesMax: 64 * 1024, stallMs: 500, lagMs: 60_000, sweepMs: 50 };
    const gateway = await gatewayWith({ limits });
    const socket: Socket = connect(Number(new URL(addressOf(gateway, "")).port), "127.0.0.1");
    socket.on("error", () => undefined);
    await once(socket, "connect");
    socket.write(
      "GET /v1/stream?channel=all:&access_token=alice HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n",
    );
    const [first] = (await once(socket, "data")) as [Buffer];
    const id = /^id: (\S+)$/m.exec(first.toString())![1]!;
    socket.pause();
    const pad = "x".repeat(50_000);
    for (let n = 0; n < 300; n++) await world.publisher.publish("rt.t.g.x", { pad });
    expect(gateway.engine.queueBytes).toBeLessThan(2 * limits.queueBytesMax);
    await eventually(() => gateway.closed.length === 1, 20_000);
    expect(gateway.closed).toEqual(["slow"]);
    socket.destroy();
    const { named, numbers } = listen(addressOf(gateway, `channel=all:&access_token=alice&cursor=${id}`));
    await eventually(() => numbers().length === 300, 20_000);
    expect(numbers()).toEqual(world.publisher.numbers());
    expect(named("subscribed")[0]!.data).toMatchObject({ recovered: true });
    await sleep(0);
  }, 60_000);
});

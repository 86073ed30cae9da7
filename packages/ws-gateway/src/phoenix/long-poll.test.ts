// Phoenix's long poll with the stock npm client (docs/gateway-protocol.md §10.8).

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { LongPoll, Socket } from "phoenix";
import type { TestGateway } from "../engine.fixture.js";
import { EventsWorld } from "../events-world.fixture.js";
import type { GatewayLimits } from "../limits.js";
import { eventually } from "../nats-server.fixture.js";

let world: EventsWorld;
let gateway: TestGateway;
const sockets: Socket[] = [];

beforeAll(async () => {
  world = await EventsWorld.start();
}, 30_000);

beforeEach(async () => {
  await world.renew();
  gateway = await world.gateway();
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.disconnect();
});

afterAll(() => world.remove());

async function restart(limits: Partial<GatewayLimits> = {}): Promise<void> {
  const { port } = gateway;
  await gateway.stop();
  world.gateways.pop();
  gateway = await world.gateway(world.source, limits, port);
}

function connect(authToken = "alice"): Socket {
  const options = {
    transport: LongPoll,
    authToken,
    reconnectAfterMs: () => 30,
    rejoinAfterMs: () => 30,
    timeout: 2_000,
  };
  const socket = new Socket(`http://127.0.0.1:${gateway.port}/socket`, options);
  sockets.push(socket);
  socket.connect();
  return socket;
}

function listen(topic: string, params: object = {}, socket = connect()) {
  const heard: number[] = [];
  const replies: { cursor: string; recovered?: boolean }[] = [];
  const refusals: { code: string }[] = [];
  let cursor: string | undefined;
  let closed = 0;
  const channel = socket.channel(topic, () => ({ ...params, cursor }));
  channel.on("TICK", (message: { cursor: string; event: { n: number } }) => {
    cursor = message.cursor;
    heard.push(message.event.n);
  });
  channel.onClose(() => void closed++);
  channel
    .join()
    .receive("ok", (reply: { cursor: string; recovered?: boolean }) => {
      replies.push(reply);
      cursor ??= reply.cursor;
    })
    .receive("error", (refusal: { code: string }) => refusals.push(refusal));
  return { channel, heard, replies, refusals, closed: () => closed };
}

const ask = async (
  query: string,
  init: RequestInit = {},
): Promise<{ status: number; token: string; code?: string }> => {
  const answer = await fetch(`http://127.0.0.1:${gateway.port}/socket/longpoll?${query}`, init);
  return (await answer.json()) as { status: number; token: string };
};
const HEADERS = { "X-Phoenix-AuthToken": "alice" };
const open = () => ask("vsn=2.0.0", { headers: HEADERS });

describe("10.8 the long poll", () => {
  test("the stock client joins, hears and leaves", async () => {
    const { channel, heard, replies, closed } = listen("group:g", { from: "start" });
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => heard.length === 1);
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => heard.length === 2);
    expect(replies).toHaveLength(1);
    expect(gateway.engine.roles).toEqual({ buyer: 1 });
    channel.leave();
    await eventually(() => closed() === 1 && gateway.engine.hub.groups === 0);
  });

  test("it loses nothing and hears nothing twice over three kills of the gateway", async () => {
    const { heard, replies } = listen("group:g", { from: "start" });
    for (let kill = 0; kill < 3; kill++) {
      for (let n = 0; n < 20; n++) await world.publisher.publish("rt.t.g.x");
      await restart();
      for (let n = 0; n < 10; n++) await world.publisher.publish("rt.t.g.x");
    }
    await eventually(() => heard.length >= 90, 20_000);
    expect(heard).toEqual(world.publisher.numbers());
    expect(replies.slice(1).every(({ recovered }) => recovered)).toBe(true);
  }, 40_000);

  test("a join that can never succeed is told once", async () => {
    const { refusals, closed } = listen("one:secret");
    await eventually(() => closed() === 1);
    expect(refusals).toMatchObject([{ code: "channel_forbidden" }]);
  });

  test.each([
    ["no token", {}, "credentials_missing"],
    ["a refused token", { "X-Phoenix-AuthToken": "bad" }, "credentials_invalid"],
  ])("%s is answered with 403 in the body, after which the client stops", async (_what, headers, code) => {
    expect(await ask("vsn=2.0.0", { headers })).toMatchObject({ status: 403, code });
    expect(gateway.engine.connections).toBe(0);
  });

  test("another version, an unknown session and a POST without one open nothing", async () => {
    expect(await ask("vsn=1.0.0", { headers: HEADERS })).toMatchObject({ status: 403 });
    expect(await ask("vsn=2.0.0&token=unknown", { headers: HEADERS })).toMatchObject({ status: 410 });
    expect(await ask("vsn=2.0.0&token=unknown", { method: "POST", body: "x" })).toMatchObject({ status: 410 });
    expect(gateway.engine.connections).toBe(0);
  });

  test("a poll without news is answered with 204; a client that no longer polls is gone", async () => {
    await restart({ pollMs: 50, pollGoneMs: 200, sweepMs: 20 });
    const { token } = await open();
    expect(await ask(`vsn=2.0.0&token=${token}`)).toMatchObject({ status: 204, token });
    expect(gateway.engine.connections).toBe(1);
    await eventually(() => gateway.engine.connections === 0);
    expect(gateway.closed).toEqual(["no_pong"]);
    expect(await ask(`vsn=2.0.0&token=${token}`)).toMatchObject({ status: 410 });
  });

  test("a second poll ends the first one; a body that is no message ends the session", async () => {
    const { token } = await open();
    const first = ask(`vsn=2.0.0&token=${token}`);
    await eventually(() => gateway.engine.connections === 1);
    const second = ask(`vsn=2.0.0&token=${token}`);
    expect(await first).toMatchObject({ status: 204 });
    expect(await ask(`vsn=2.0.0&token=${token}`, { method: "POST", body: "[1]" })).toMatchObject({ status: 200 });
    expect(await second).toMatchObject({ status: 204 });
    expect(gateway.closed).toEqual(["bad_frame"]);
  });

  test("too many messages end the session", async () => {
    const { token } = await open();
    const beat = JSON.stringify([null, "1", "phoenix", "heartbeat", {}]);
    const body = Array.from({ length: 400 }, () => beat).join("\n");
    await ask(`vsn=2.0.0&token=${token}`, { method: "POST", body });
    expect(gateway.closed).toEqual(["rate"]);
  });

  test("a body that is too large is not read to its end", async () => {
    const { token } = await open();
    const body = "x".repeat(3 * 1024 * 1024);
    expect(await ask(`vsn=2.0.0&token=${token}`, { method: "POST", body })).toMatchObject({ status: 410 });
  });

  test("a reader that takes nothing keeps no more than its queue, and catches up when it polls again", async () => {
    await restart({ queueBytesMax: 20_000, ringEventsMax: 10 });
    const { token } = await open();
    const join = JSON.stringify(["1", "1", "group:g", "phx_join", {}]);
    await ask(`vsn=2.0.0&token=${token}`, { method: "POST", body: join });
    const text = "x".repeat(1_000);
    for (let n = 0; n < 100; n++) await world.publisher.publish("rt.t.g.x", { text });
    await eventually(() => gateway.engine.liveLog.last === 100);
    expect(gateway.engine.queueBytes).toBeLessThanOrEqual(20_000);
    const numbers: number[] = [];
    while (numbers.length < 100) {
      const { messages } = (await ask(`vsn=2.0.0&token=${token}`)) as unknown as { messages: string[] };
      for (const message of messages) {
        const [, , , event, payload] = JSON.parse(message) as [
          unknown,
          unknown,
          unknown,
          string,
          { event: { n: number } },
        ];
        if (event === "TICK") numbers.push(payload.event.n);
      }
    }
    expect(numbers).toEqual(world.publisher.numbers());
  });

  test("pages of allowed origins may use it, others may not", async () => {
    await gateway.stop();
    world.gateways.pop();
    gateway = await world.gateway(world.source, {}, 0, { allowedOrigins: ["https://shop.example"] });
    const url = `http://127.0.0.1:${gateway.port}/socket/longpoll?vsn=2.0.0`;
    const preflight = await fetch(url, { method: "OPTIONS", headers: { Origin: "https://shop.example" } });
    expect(preflight.headers.get("access-control-allow-origin")).toBe("https://shop.example");
    expect(preflight.headers.get("access-control-allow-headers")).toContain("X-Phoenix-AuthToken");
    const foreign = await fetch(url, { headers: { ...HEADERS, Origin: "https://evil.example" } });
    expect(foreign.headers.get("access-control-allow-origin")).toBeNull();
    expect(await foreign.json()).toMatchObject({ status: 403 });
  });

  test("an orderly stop answers the poll that waits; a removed client joins nothing again", async () => {
    const { closed, replies } = listen("group:g");
    await eventually(() => replies.length === 1);
    gateway.engine.revoke(({ id }) => id === "alice");
    await eventually(() => closed() === 1);
    expect(gateway.closed).toEqual(["revoked"]);
    const { token } = await open();
    const waiting = ask(`vsn=2.0.0&token=${token}`);
    await eventually(() => gateway.engine.connections > 0);
    gateway.engine.stop();
    expect([204, 410]).toContain((await waiting).status);
  });
});

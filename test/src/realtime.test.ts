// The realtime client against real gateways: processes that are killed and drained, tokens that run out, networks that go silent.
// Each time the whole story counts: every event once, in order, and what could not be kept is told.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { GatewayLimits } from "@outcry/ws-gateway";
import { DELIVERY_STATES, type DeliveryState } from "@outcry/protocol";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import WebSocket from "ws";
import { eventually } from "./in-process.js";
import { startOwnGateway } from "./own-gateway.js";
import { Heard, newIntent, RealtimeWorld, upTo } from "./realtime-world.js";
import { TcpProxy } from "./tcp-proxy.js";
import { repository } from "./workspaces.js";

const TOKEN_MS = 4_000; // renewed after 80 % of it: what is left is patience with a busy machine

let world: RealtimeWorld;
const ends: (() => Promise<void>)[] = [];

beforeAll(async () => {
  world = await RealtimeWorld.start();
}, 60_000);
afterAll(async () => {
  for (const end of ends.toReversed()) await end();
  await world.stop();
});

const proxyTo = async (gateway: number): Promise<TcpProxy> => {
  const proxy = await TcpProxy.to(world.socketUrl(gateway));
  ends.push(() => proxy.close());
  return proxy;
};
const sumOf = (numbers: readonly number[]) => numbers.reduce((sum, n) => sum + n, 0);
const through = (proxy: TcpProxy) => `ws://${proxy.host}/v1/ws`;

async function gatewayWith(limits: Partial<GatewayLimits>): Promise<string> {
  const gateway = await startOwnGateway(world.stack.brokers, { limits });
  ends.push(() => gateway.stop());
  return gateway.url;
}

const follow = async (intentId: string, url = world.socketUrl()) => {
  const channel = `intent:${intentId}` as const;
  const token = world.token([channel]);
  const heard = new Heard(world.connect({ url, getToken: () => token }), channel);
  await heard.channel.ready();
  return heard;
};

describe("a gateway", () => {
  test("that is killed with -9, time and again, costs no event and doubles none", async () => {
    const intentId = newIntent();
    const heard = await follow(intentId);
    const gateway = world.stack.service("gateway");
    const told = await world.tellDuring(intentId, 0, async () => {
      for (let round = 1; round <= 3; round++) {
        await sleep(200);
        await gateway.kill9();
        await gateway.start();
        await eventually(() => heard.recovered.length >= round, 30_000);
      }
    });
    await eventually(() => heard.numbers.length >= told, 20_000);
    expect(heard.numbers).toEqual(upTo(told));
    expect(heard.gaps).toEqual([]);
    expect(sumOf(heard.recovered)).toBeGreaterThan(0);
  }, 90_000);

  test("that is drained says when to come back, and nothing is lost in between", async () => {
    const intentId = newIntent();
    const heard = await follow(intentId);
    const gateway = world.stack.service("gateway");
    const told = await world.tellDuring(intentId, 0, async () => {
      await sleep(100);
      await gateway.terminate();
      await gateway.start();
      await eventually(() => heard.opened() > 1, 30_000);
    });
    await eventually(() => heard.numbers.length >= told, 20_000);
    expect(heard.numbers).toEqual(upTo(told));
    expect(heard.gaps).toEqual([]);
    expect(heard.reconnecting()[0]).toMatchObject({ code: 1012, reason: "restart" });
  }, 60_000);

  test("may be another one after each break: a cursor goes with the client", async () => {
    const intentId = newIntent();
    const proxy = await proxyTo(0);
    const heard = await follow(intentId, through(proxy));
    const told = await world.tellDuring(intentId, 0, async () => {
      for (let round = 1; round <= 6; round++) {
        await sleep(100);
        proxy.target = new URL(world.socketUrl(round % 2)).host;
        proxy.reset();
        await eventually(() => heard.recovered.length >= round, 20_000);
      }
    });
    await eventually(() => heard.numbers.length >= told, 20_000);
    expect(heard.numbers).toEqual(upTo(told));
    expect(heard.gaps).toEqual([]);
  }, 60_000);
});

test("a program that stands still while it connects is not given up for it", async () => {
  const stillMs = 6_000; // the gateway waits 5 s for the token
  let stoodStill = 0;
  class StandsStill extends WebSocket {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols);
      this.once("upgrade", () => {
        if (stoodStill++ > 0) return;
        const untilMs = performance.now() + stillMs;
        while (performance.now() < untilMs); // nothing else runs here meanwhile, not even the socket
      });
    }
  }
  const intentId = newIntent();
  const channel = `intent:${intentId}` as const;
  const heard = new Heard(world.connect({ WebSocket: StandsStill, getToken: () => world.token([channel]) }), channel);
  await heard.channel.ready();
  expect(heard.reconnecting()).toMatchObject([{ code: 4015, reason: "auth_timeout" }]);
  await world.tell(intentId, 0);
  await eventually(() => heard.numbers.length === 1);
}, 30_000);

describe("a network", () => {
  test("that goes silent and then resets costs no event", async () => {
    const intentId = newIntent();
    const proxy = await proxyTo(0);
    const heard = await follow(intentId, through(proxy));
    const told = await world.tellDuring(intentId, 0, async () => {
      await sleep(100);
      proxy.goSilent();
      await sleep(1_500);
      proxy.comeBack();
      await eventually(() => heard.recovered.length > 0, 20_000);
    });
    await eventually(() => heard.numbers.length >= told, 20_000);
    expect(heard.numbers).toEqual(upTo(told));
    expect(heard.recovered[0]).toBeGreaterThan(10); // told in that time, and heard only afterwards
    expect(heard.gaps).toEqual([]);
  }, 60_000);

  test("that is silent for good is noticed by the missing pings, and left", async () => {
    const pingMs = 300; // and the 10 s of grace that every client gives
    const url = await gatewayWith({ pingMs, sweepMs: 50 });
    const proxy = await TcpProxy.to(url);
    ends.push(() => proxy.close());
    const intentId = newIntent();
    const heard = await follow(intentId, through(proxy));
    await sleep(1_500);
    expect(heard.opened()).toBe(1); // pings and pongs keep it
    expect(proxy.accepted).toBe(1);
    proxy.goSilent();
    const from = performance.now();
    for (let n = 0; n < 20; n++) await world.tell(intentId, n);
    await eventually(() => heard.reconnecting().length > 0, 20_000);
    expect(performance.now() - from).toBeGreaterThan(9_000);
    expect(heard.reconnecting()[0]).toMatchObject({ code: undefined, reason: "silence" });
    proxy.comeBack();
    await eventually(() => heard.numbers.length >= 20, 30_000);
    expect(heard.numbers).toEqual(upTo(20));
    expect(sumOf(heard.recovered)).toBe(20);
  }, 90_000);
});

describe("a token", () => {
  test("is renewed on the open socket, over and over, without a break", async () => {
    const intentId = newIntent();
    const channel = `intent:${intentId}` as const;
    let given = 0;
    const getToken = () => (given++, world.token([channel], TOKEN_MS));
    const heard = new Heard(world.connect({ getToken }), channel);
    await heard.channel.ready();
    const told = await world.tellDuring(intentId, 0, async () => void (await eventually(() => given >= 4, 40_000)));
    await eventually(() => heard.numbers.length >= told);
    expect(heard.numbers).toEqual(upTo(told));
    expect(heard.opened()).toBe(1);
    expect(heard.others).toEqual([]);
  }, 90_000);

  test("that runs out because no other could be had ends the connection with 4014; the next one resumes", async () => {
    const intentId = newIntent();
    const channel = `intent:${intentId}` as const;
    let away = false;
    const getToken = () => {
      if (away) throw new Error("the backend is away");
      return world.token([channel], TOKEN_MS);
    };
    const heard = new Heard(world.connect({ getToken }), channel);
    await heard.channel.ready();
    away = true;
    const told = await world.tellDuring(intentId, 0, async () => {
      await eventually(() => heard.reconnecting().length > 0, 20_000);
      expect(heard.reconnecting()[0]).toMatchObject({ code: 4014, reason: "token_expired" });
      await sleep(300);
      away = false;
      await eventually(() => heard.recovered.length > 0, 20_000);
    });
    await eventually(() => heard.numbers.length >= told);
    expect(heard.numbers).toEqual(upTo(told));
    expect(heard.gaps).toEqual([]);
  }, 60_000);

  test("that names a channel no more ends that channel; the others go on", async () => {
    const [kept, lost] = [newIntent(), newIntent()];
    let first = true;
    const getToken = () => {
      const channels = first ? ([`intent:${kept}`, `intent:${lost}`] as const) : ([`intent:${kept}`] as const);
      const token = world.token(channels, TOKEN_MS);
      first = false;
      return token;
    };
    const realtime = world.connect({ getToken });
    const [goesOn, over] = [new Heard(realtime, `intent:${kept}`), new Heard(realtime, `intent:${lost}`)];
    await Promise.all([goesOn.channel.ready(), over.channel.ready()]);
    await world.tell(lost, 0);
    await eventually(() => over.others.length > 0);
    expect(over.others).toEqual([{ kind: "end", channel: `intent:${lost}`, code: "channel_forbidden" }]);
    expect(over.numbers).toEqual([0]);
    await world.tell(lost, 1);
    await world.tell(kept, 0);
    await eventually(() => goesOn.numbers.length === 1);
    expect([goesOn.opened(), over.numbers, over.error]).toEqual([1, [0], undefined]);
  }, 30_000);

  test("that never named a channel is refused that one: an error with its code, no other try", async () => {
    const own = newIntent();
    const token = world.token([`intent:${own}`]);
    const realtime = world.connect({ getToken: () => token });
    const [allowed, refused] = [new Heard(realtime, `intent:${own}`), new Heard(realtime, `intent:${newIntent()}`)];
    await allowed.channel.ready();
    await eventually(() => refused.error !== undefined);
    expect(refused.error).toMatchObject({ name: "RealtimeError", code: "channel_forbidden", temporary: false });
    expect(allowed.opened()).toBe(1);
    expect(realtime.status.state).toBe("open");
  });

  test("or key that is revoked ends everything at once: 4503, and it does not come back", async () => {
    const made = await world.admin.createApiKey({ role: "backend", name: "for a while" });
    const realtime = world.connect({ getToken: () => made.secret });
    const heard = new Heard(realtime, `backend:${made.backend_id!}`);
    await heard.channel.ready();
    await world.admin.revokeApiKey(made.id);
    await eventually(() => heard.error !== undefined);
    expect(heard.error).toMatchObject({ code: "credentials_invalid", closeCode: 4503, temporary: false });
    expect(realtime.status).toMatchObject({ state: "closed", code: 4503, reason: "revoked" });
    expect(heard.opened()).toBe(1);
  });
});

describe("a cursor", () => {
  test("of another channel, or of a gateway with another secret, is a gap that is told; then it goes on live", async () => {
    const [one, other] = [newIntent(), newIntent()];
    const first = await follow(one);
    await world.tell(one, 0);
    await eventually(() => first.numbers.length === 1);
    const cursor = first.channel.cursor!;
    const elsewhere = await gatewayWith({});
    for (const [intentId, url] of [
      [other, world.socketUrl(1)],
      [one, elsewhere],
    ] as const) {
      const channel = `intent:${intentId}` as const;
      const token = world.token([channel]);
      const heard = new Heard(world.connect({ url, getToken: () => token }), channel, { cursor });
      await heard.channel.ready();
      await eventually(() => heard.gaps.length === 1);
      expect(heard.gaps).toMatchObject([{ kind: "gap", channel, reason: "cursor_invalid" }]);
      await world.tell(intentId, 7);
      await eventually(() => heard.numbers.length === 1);
      expect(heard.numbers).toEqual([7]);
    }
  }, 30_000);

  test("that a reader kept resumes in another program, behind what that one had dealt with", async () => {
    const intentId = newIntent();
    const channel = `intent:${intentId}` as const;
    for (let n = 0; n < 10; n++) await world.tell(intentId, n);
    const token = world.token([channel]);
    let cursor: string | undefined;
    for await (const message of world.connect({ getToken: () => token }).channel(channel, { from: "start" })) {
      if (message.kind !== "event") throw new Error(message.kind);
      if ((message.event.data as { dispatched: number }).dispatched === 4) {
        ({ cursor } = message);
        break;
      }
    }
    const heard = new Heard(world.connect({ url: world.socketUrl(1), getToken: () => token }), channel, {
      cursor: cursor!,
    });
    await eventually(() => heard.recovered.length === 1);
    expect([heard.numbers, heard.recovered]).toEqual([[5, 6, 7, 8, 9], [5]]);
  });
});

test("a slow reader of a real gateway gets all of it, with a buffer of a few", async () => {
  const intentId = newIntent();
  const channel = `intent:${intentId}` as const;
  const token = world.token([channel]);
  const realtime = world.connect({ getToken: () => token });
  const opened = realtime.channel(channel, { bufferMax: 20 });
  const heard: number[] = [];
  opened.on("INTENT_BROADCASTED", async ({ data }) => {
    await sleep(2);
    heard.push(data.dispatched);
  });
  await opened.ready();
  const total = 400;
  for (let n = 0; n < total; n++) await world.tell(intentId, n);
  await eventually(() => heard.length >= total, 30_000);
  expect(heard).toEqual(upTo(total));
}, 60_000);

test("the first example of docs/client.md runs as it stands, and ends by itself", async () => {
  const [, example] = /```js\n([\s\S]*?)```/.exec(readFileSync(path.join(repository, "docs", "client.md"), "utf8"))!;
  const intentId = newIntent();
  await world.tell(intentId, 1);
  const counts = Object.fromEntries(DELIVERY_STATES.map((state) => [state, 0])) as Record<DeliveryState, number>;
  await world.append(intentId, "INTENT_CLOSED", { intent_id: intentId, counts });
  const child = spawn(process.execPath, ["--input-type=module", "-"], {
    cwd: path.join(repository, "test"), // which depends on all that it imports
    env: { INTENT_ID: intentId, OUTCRY_TOKEN: world.token([`intent:${intentId}`]) },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (said += chunk.toString()));
  child.stdin.end(example!.replace("ws://127.0.0.1:7070/v1/ws", world.socketUrl()));
  expect(await once(child, "close")).toEqual([0, null]);
  expect(said).toMatch(/^\S+Z INTENT_BROADCASTED\n\S+Z INTENT_CLOSED\n$/);
}, 30_000);

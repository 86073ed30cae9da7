// Buyers' rights that were taken back: stock clients of every wire protocol, and what a process keeps of it in memory.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { LIMITS, newId, silentLog, systemClock, toRfc3339 } from "@outcry/protocol";
import { Centrifuge, type Subscription } from "centrifuge";
import { EventSource } from "eventsource";
import { type Channel, Socket as PhoenixSocket } from "phoenix";
import { WebSocket } from "ws";
import { AccessIndex } from "./access-index.js";
import { RevokedBuyers } from "./revoked-buyers.js";
import { eventually, json, serve, type Served, Socket, startWorld, token, type World } from "./service.fixture.js";

const BACKEND = newId("bkd");
const WITHIN_MS = 1_000;

let world: World;
let served: Served;
const stops: (() => void)[] = [];

beforeAll(async () => {
  world = await startWorld();
  served = await serve(world);
}, 30_000);
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});
afterAll(async () => {
  await served.close();
  await world.remove();
});

/** As the broadcast service writes it. */
async function revoke(buyer: string, channel?: string): Promise<void> {
  const nowMs = Date.now();
  const entry = {
    at: toRfc3339(nowMs),
    until: Math.floor(nowMs / 1_000) + 2,
    ...(channel === undefined ? {} : { channel }),
  };
  await world.access.put(`buyer-rights.${buyer}`, json({ backend_id: BACKEND, buyer_id: buyer, revoked: [entry] }));
}

const tokenOf = (buyer: string, ...channels: string[]) =>
  token(world, { sub: buyer, role: "buyer", backend: BACKEND, channels });

class Clients {
  readonly phoenix: PhoenixSocket;
  readonly joined: Channel;
  readonly centrifuge: Centrifuge;
  readonly subscription: Subscription;
  readonly stream: EventSource;
  readonly heard: string[] = [];
  readonly access: string;

  constructor(access: string, channel: string) {
    this.access = access;
    const ws = served.url.replace("http", "ws");
    this.phoenix = new PhoenixSocket(`${ws}/socket`, {
      transport: WebSocket,
      reconnectAfterMs: () => 20,
      rejoinAfterMs: () => 20,
      params: { token: access },
    });
    this.phoenix.connect();
    this.joined = this.phoenix.channel(channel, {});
    this.joined.on("end", ({ code }: { code: string }) => void this.heard.push(`phoenix end ${code}`));
    this.joined.onClose(() => void this.heard.push("phoenix closed"));
    this.joined.join().receive("ok", () => this.heard.push("phoenix ok"));
    this.centrifuge = new Centrifuge(`${ws}/connection/websocket`, {
      token: access,
      websocket: WebSocket,
      minReconnectDelay: 20,
      maxReconnectDelay: 40,
    });
    this.centrifuge.on("disconnected", ({ code }) => this.heard.push(`centrifuge disconnected ${code}`));
    this.subscription = this.centrifuge.newSubscription(channel);
    this.subscription.on("subscribed", () => this.heard.push("centrifuge ok"));
    this.subscription.on("unsubscribed", ({ code }) => this.heard.push(`centrifuge unsubscribed ${code}`));
    this.subscription.subscribe();
    this.centrifuge.connect();
    this.stream = new EventSource(`${served.url}/v1/stream?channel=${channel}&access_token=${access}`);
    this.stream.addEventListener("open", () => this.heard.push("sse ok"));
    for (const name of ["end", "bye"])
      this.stream.addEventListener(name, ({ data }) => this.heard.push(`sse ${name} ${codeIn(data as string)}`));
    stops.push(() => {
      this.phoenix.disconnect();
      this.centrifuge.disconnect();
      this.stream.close();
    });
  }

  async heardAll(...lines: string[]): Promise<void> {
    await eventually(() => lines.every((line) => this.heard.includes(line)), WITHIN_MS * 5);
  }
}

const codeIn = (data: string): string => /"code":"(\w+)"/.exec(data)![1]!;
const OPEN = ["phoenix ok", "centrifuge ok", "sse ok"];

describe("a revocation", () => {
  test("of one channel ends it in every wire protocol, and no stock client opens it again", async () => {
    const clients = new Clients(tokenOf("c", "buyer:c", "intent:x"), "buyer:c");
    await clients.heardAll(...OPEN);
    await revoke("c", "buyer:c");
    await clients.heardAll(
      "phoenix end channel_forbidden",
      "phoenix closed",
      "centrifuge unsubscribed 2000",
      "sse end channel_forbidden",
    );
    await eventually(() => clients.stream.readyState === EventSource.CLOSED); // it came back and was refused for good
    expect(clients.heard.filter((line) => line.endsWith(" ok")).toSorted()).toEqual(OPEN.toSorted());
    expect([clients.phoenix.isConnected(), clients.centrifuge.state]).toEqual([true, "connected"]);
    const answer = await fetch(`${served.url}/v1/stream?channel=buyer:c`, {
      headers: { authorization: `Bearer ${clients.access}` },
    });
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([403, "channel_forbidden"]);
  }, 20_000);

  test("of everything ends the connections in every wire protocol, and no stock client comes back", async () => {
    const clients = new Clients(tokenOf("all", "buyer:all"), "buyer:all");
    await clients.heardAll(...OPEN);
    await revoke("all");
    await clients.heardAll("phoenix closed", "centrifuge disconnected 4503", "sse bye revoked");
    await eventually(() => clients.stream.readyState === EventSource.CLOSED);
    expect(clients.heard.filter((line) => line.endsWith(" ok")).toSorted()).toEqual(OPEN.toSorted());
    await expect(Socket.open(served.url, clients.access)).rejects.toThrow("credentials_invalid");
  }, 20_000);

  test("that comes while a channel is being opened meets it", async () => {
    for (let round = 0; round < 20; round++) {
      const buyer = `race-${round}`;
      const socket = await Socket.open(served.url, tokenOf(buyer, `buyer:${buyer}`));
      stops.push(() => socket.ws.terminate());
      const [answer] = await Promise.all([
        socket.sub(`buyer:${buyer}`, { from: "start" }),
        revoke(buyer, `buyer:${buyer}`),
      ]);
      expect(["ok", "channel_forbidden", "frame_invalid"]).toContain(answer);
      const ended = () =>
        socket.messages.some((message) => message.ch === `buyer:${buyer}` && message["end"] !== undefined);
      await eventually(() => answer === "channel_forbidden" || ended(), WITHIN_MS);
      expect(await socket.sub(`buyer:${buyer}`)).toBe("channel_forbidden");
    }
  }, 30_000);
});

describe("what a process keeps of revocations", () => {
  const record = (buyer: string, ageMs: number, channel?: string) => ({
    backend_id: BACKEND,
    buyer_id: buyer,
    revoked: [
      {
        at: toRfc3339(Date.now() - ageMs),
        until: Math.floor((Date.now() - ageMs) / 1_000),
        ...(channel === undefined ? {} : { channel }),
      },
    ],
  });
  const OLD_MS = LIMITS.buyerTokenMs + LIMITS.clockSkewMs + 1_000;
  const issued = (ageMs: number, buyerId = "b") => ({ backendId: BACKEND, buyerId, issuedAt: Date.now() - ageMs });

  test("is what a living token can concern", () => {
    const revoked = new RevokedBuyers(systemClock);
    revoked.take(record("b", OLD_MS));
    revoked.take(record("c", OLD_MS, "buyer:c"));
    expect(revoked.size).toBe(0);
    revoked.take(record("b", 60_000));
    expect(revoked.size).toBe(1);
    expect(revoked.isRevoked(issued(61_000))).toBe(true);
    expect(revoked.isRevoked(issued(58_000))).toBe(false);
    expect(revoked.isRevoked(issued(61_000, "other"))).toBe(false);
    revoked.take(record("b", OLD_MS)); // as it is when only that is left of it
    expect(revoked.size).toBe(0);
  });

  test("grows old in memory, too", () => {
    let nowMs = Date.now();
    const revoked = new RevokedBuyers({ now: () => nowMs });
    revoked.take(record("first", 0));
    nowMs += OLD_MS + 3_000;
    for (let n = 0; n < 1_000; n++) revoked.take(record(`old-${n}`, 0));
    expect(revoked.size).toBe(0);
  });

  test("one channel's is not another's, and everything's is every channel's", () => {
    const revoked = new RevokedBuyers(systemClock);
    revoked.take(record("b", 1_000, "buyer:b"));
    expect(revoked.isRevoked(issued(5_000))).toBe(false);
    expect(revoked.isRevoked(issued(5_000), "buyer:b")).toBe(true);
    expect(revoked.isRevoked(issued(5_000), "intent:x")).toBe(false);
    revoked.take(record("b", 1_000));
    expect(revoked.isRevoked(issued(5_000), "intent:x")).toBe(true);
  });

  test("stands when a process starts before it answers anybody", async () => {
    await revoke("before-start", "buyer:before-start");
    const index = new AccessIndex({
      bucket: world.access,
      serviceId: "outcry",
      clock: systemClock,
      log: silentLog,
      onKeyRevoked: () => undefined,
      onSigningKeyRevoked: () => undefined,
      onNodeRevoked: () => undefined,
      onBuyerRevoked: () => undefined,
    });
    await index.follow();
    expect(index.revokedBuyers.isRevoked(issued(0, "before-start"), "buyer:before-start")).toBe(true);
    index.stop();
  });
});

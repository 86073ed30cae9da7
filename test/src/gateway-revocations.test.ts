// A backend takes back what its buyers' tokens open: over HTTP, at every process of the gateway, and for good.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { type ApiKeyCreated, type BuyerRevocationView, newId, type TokenCreated } from "@outcry/protocol";
import type { Backend, Call } from "./api-calls.js";
import {
  type GatewayMarket,
  type GatewayProcess,
  type GatewaySocket,
  startGateway,
  startGatewayMarket,
} from "./gateways.js";
import { eventually, type Market } from "./in-process.js";

const REVOCATIONS = "/v1/gateway/revocations";
const WITHIN_MS = 1_000;

let world: GatewayMarket;
let market: Market;
let backend: Backend;
let one: GatewayProcess;
let two: GatewayProcess;

beforeAll(async () => {
  world = await startGatewayMarket();
  ({ market, backend, one, two } = world);
}, 60_000);
afterEach(() => world?.sockets.close());
afterAll(() => world?.stop(), 30_000);

async function tokenOf(buyer: string, channels = [`buyer:${buyer}`], of: Backend = backend): Promise<string> {
  const made = await of.call<TokenCreated>("POST", "/v1/tokens", { buyer_id: buyer, channels });
  if (made.status !== 201) throw new Error(JSON.stringify(made.body));
  return made.body.token;
}

async function open(at: GatewayProcess, token: string, ...channels: string[]): Promise<GatewaySocket> {
  const socket = await world.sockets.open(at, token);
  for (const channel of channels) expect(await socket.sub(channel)).toBe("ok");
  return socket;
}

const revoke = (body: object, call: Call = backend.call) =>
  call<BuyerRevocationView>("POST", REVOCATIONS, { reason: "a test", ...body });

/** `ok`, or the code that this token is refused with. */
async function answerTo(at: GatewayProcess, token: string): Promise<string> {
  try {
    await open(at, token);
    return "ok";
  } catch (error) {
    return (error as Error).message;
  }
}

const endOf = (socket: GatewaySocket, ch: string) =>
  socket.messages.find((message) => message.ch === ch && message.end !== undefined)?.end?.code;

describe("POST /v1/gateway/revocations", () => {
  test("without a channel all connections of the buyer end, and its tokens open nothing any more", async () => {
    const [token, other, sameName] = await Promise.all([
      tokenOf("all"),
      tokenOf("bystander"),
      market.backend("other").then((another) => tokenOf("all", ["buyer:all"], another)),
    ]);
    const ending = [await open(one, token, "buyer:all"), await open(two, token, "buyer:all")];
    const staying = [await open(one, other, "buyer:bystander"), await open(two, sameName, "buyer:all")];
    const made = await revoke({ buyer_id: "all", reason: "stolen phone" });
    expect(made).toMatchObject({
      status: 201,
      body: { buyer_id: "all", backend_id: backend.id, reason: "stolen phone" },
    });
    await eventually(() => ending.every(({ closed }) => closed !== undefined), WITHIN_MS);
    expect(ending.map(({ closed, messages }) => [closed, messages.at(-1)!.bye!.code])).toEqual([
      [4503, "revoked"],
      [4503, "revoked"],
    ]);
    for (const at of [one, two]) expect(await answerTo(at, token)).toBe("credentials_invalid");
    expect(staying.map(({ closed }) => closed)).toEqual([undefined, undefined]);
    expect(await answerTo(one, other)).toBe("ok");
  });

  test("with a channel only its subscriptions end; the connection and its other channels stay", async () => {
    const intent = await backend.broadcast({ routing: { targets: [(await market.register()).id] } });
    const channel = `intent:${intent}`;
    const token = await tokenOf("some", ["buyer:some", channel]);
    const both = [await open(one, token, "buyer:some", channel), await open(two, token, channel)];
    expect((await revoke({ buyer_id: "some", channel })).status).toBe(201);
    await eventually(() => both.every((socket) => endOf(socket, channel) !== undefined), WITHIN_MS);
    expect(both.map((socket) => endOf(socket, channel))).toEqual(["channel_forbidden", "channel_forbidden"]);
    expect(both.map(({ closed }) => closed)).toEqual([undefined, undefined]);
    for (const at of [one, two]) {
      const again = await open(at, token, "buyer:some");
      expect(await again.sub(channel)).toBe("channel_forbidden");
    }
    const renewed = await tokenOf("some", ["buyer:some", channel]);
    for (const at of [one, two]) await open(at, renewed, channel);
  });

  test("a token that is made right after it works at every process, one that was made before does not", async () => {
    for (let round = 0; round < 5; round++) {
      const before = await tokenOf("at-once");
      await revoke({ buyer_id: "at-once" });
      const after = await tokenOf("at-once");
      for (const at of [one, two]) {
        await eventually(async () => (await answerTo(at, before)) === "credentials_invalid", WITHIN_MS);
        expect([round, await answerTo(at, after)]).toEqual([round, "ok"]);
      }
    }
  });

  test("it still holds at a process that starts later, and for a connection that renews with an old token", async () => {
    const before = await tokenOf("restart");
    await revoke({ buyer_id: "restart" });
    const after = await tokenOf("restart");
    const third = await startGateway(market);
    try {
      expect(await answerTo(third, before)).toBe("credentials_invalid");
      const socket = await open(third, after, "buyer:restart");
      expect((await socket.command({ op: "auth", token: before })).err?.code).toBe("credentials_invalid");
    } finally {
      await third.stop();
    }
  });

  test("is for a backend's own buyers; admins name the backend", async () => {
    const other = await market.backend("third");
    const token = await tokenOf("mine");
    const socket = await open(one, token, "buyer:mine");
    expect((await revoke({ buyer_id: "mine" }, other.call)).body.backend_id).toBe(other.id);
    const foreign = await revoke({ buyer_id: "mine", backend_id: backend.id }, other.call);
    expect(foreign).toMatchObject({
      status: 400,
      body: { code: "validation_failed", errors: [{ pointer: "/backend_id" }] },
    });
    for (const wrong of [{ buyer_id: "mine" }, { buyer_id: "mine", backend_id: newId("bkd") }])
      expect((await revoke(wrong, market.admin)).status).toBe(400);
    expect((await revoke({ buyer_id: "mine", channel: "nothing" })).status).toBe(400);
    expect((await revoke({ buyer_id: "mine" }, await market.operator())).status).toBe(403);
    expect(socket.closed).toBeUndefined();
    expect((await revoke({ buyer_id: "mine", backend_id: backend.id }, market.admin)).status).toBe(201);
    await eventually(() => socket.closed === 4503, WITHIN_MS);
  });
});

describe("GET /v1/gateway/revocations", () => {
  test("says who, when and why, newest first, in pages; a backend sees its own", async () => {
    const shop = await market.admin<ApiKeyCreated>("POST", "/v1/api-keys", { role: "backend", name: "shop" });
    const [key, call] = [shop.body, market.as(shop.body.secret)];
    await revoke({ buyer_id: "b1", reason: "first" }, call);
    await revoke({ buyer_id: "b2", channel: "buyer:b2", reason: "second" }, call);
    await revoke({ buyer_id: "b1", reason: "third" }, call); // in place of the first
    type Page = { data: BuyerRevocationView[]; has_more: boolean; next_cursor?: string };
    const list = async (query = "") => (await call<Page>("GET", REVOCATIONS + query)).body;
    const { data } = await list();
    expect(data.map(({ reason }) => reason)).toEqual(["third", "second"]);
    expect(data[1]).toEqual({
      id: expect.stringMatching(/^rvk_/),
      backend_id: key.backend_id,
      buyer_id: "b2",
      channel: "buyer:b2",
      at: expect.any(String),
      by: key.id,
      reason: "second",
    });
    const first = await list("?limit=1");
    expect([first.data.length, first.has_more]).toEqual([1, true]);
    expect((await list(`?limit=1&cursor=${first.next_cursor}`)).data.map(({ reason }) => reason)).toEqual(["second"]);
    expect((await list("?buyer_id=b2")).data).toHaveLength(1);
    expect((await list(`?backend_id=${backend.id}`)).data).toHaveLength(2); // its own all the same
    const all = await (await market.operator())<Page>("GET", `${REVOCATIONS}?backend_id=${key.backend_id}`);
    expect(all.body.data).toEqual(data);
  });
});

// What operators see of the gateway's connections, asked of the broadcast service and answered by every process of the gateway.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type ConnectionPage, type ConnectionView, newId, type TokenCreated } from "@outcry/protocol";
import type { Backend, Call } from "./api-calls.js";
import {
  type GatewayMarket,
  type GatewayProcess,
  type GatewaySocket,
  startGateway,
  startGatewayMarket,
} from "./gateways.js";
import { encodeInspect, INSPECT_SUBJECTS } from "@outcry/ws-gateway";
import { eventually, type Market } from "./in-process.js";

const CONNECTIONS = "/v1/gateway/connections";

let world: GatewayMarket;
let market: Market;
let operator: Call;
let backend: Backend;
let one: GatewayProcess;
let two: GatewayProcess;

beforeAll(async () => {
  world = await startGatewayMarket();
  ({ market, backend, one, two } = world);
  operator = await market.operator();
}, 60_000);
afterAll(() => world?.stop(), 30_000);

async function buyer(id: string, at: GatewayProcess): Promise<GatewaySocket> {
  const made = await backend.call<TokenCreated>("POST", "/v1/tokens", { buyer_id: id, channels: [`buyer:${id}`] });
  const socket = await world.sockets.open(at, made.body.token);
  expect(await socket.sub(`buyer:${id}`)).toBe("ok");
  return socket;
}

const list = async (query: string) => (await operator<ConnectionPage>("GET", `${CONNECTIONS}?${query}`)).body;
const idsOf = ({ data }: ConnectionPage) => data.map(({ id }) => id);

describe("GET /v1/gateway/connections", () => {
  test("lists those of all processes, newest first, by role, channel and principal", async () => {
    const first = await buyer("list-1", one);
    const second = await buyer("list-2", two);
    const page = await list("role=buyer&limit=50");
    expect(page.processes).toEqual({ answered: 2, silent: 0 });
    expect(idsOf(page).slice(0, 2)).toEqual([second.id, first.id].toSorted().toReversed());
    expect(idsOf(await list("channel=buyer:list-1"))).toEqual([first.id]);
    const principal = `buyer:${backend.id}:list-2`;
    const found = await list(`principal=${principal}`);
    expect(found).toMatchObject({
      matched: 1,
      has_more: false,
      data: [{ id: second.id, role: "buyer", principal, protocol: "outcry.v1", channels: 1 }],
    });
    expect(new Set((await list("role=buyer")).data.map(({ process }) => process)).size).toBe(2);
    expect(idsOf(await list("role=node"))).toEqual([]);
  });

  test("comes in pages that repeat nothing and leave nothing out", async () => {
    const opened = [];
    for (const at of [one, two, one, two, one]) opened.push((await buyer("pages", at)).id);
    const paged: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await list(`channel=buyer:pages&limit=2${cursor === undefined ? "" : `&cursor=${cursor}`}`);
      expect(page.data.length).toBeLessThanOrEqual(2);
      paged.push(...idsOf(page));
      cursor = page.next_cursor;
    } while (cursor !== undefined);
    expect(paged).toEqual(opened.toSorted().toReversed());
  });

  test("says that a process did not answer", async () => {
    const { backbone } = market.broadcast.platform;
    const hung = { process: "hung-1" };
    backbone.publish(INSPECT_SUBJECTS.here, encodeInspect(hung));
    await eventually(async () => (await list("limit=1")).processes.silent === 1);
    expect((await list("limit=1")).processes).toEqual({ answered: 2, silent: 1 });
    const unknown = await operator("GET", `${CONNECTIONS}/${newId("con")}`);
    expect(unknown).toMatchObject({ status: 503, body: { code: "dependency_unavailable" } }); // it may have it
    backbone.publish(INSPECT_SUBJECTS.here, encodeInspect({ ...hung, gone: true }));
    await eventually(async () => (await list("limit=1")).processes.silent === 0);
  });

  test("a process that starts or stops is known at once", async () => {
    const third = await startGateway(market);
    const socket = await buyer("third", third);
    await eventually(async () => (await list("channel=buyer:third")).processes.answered === 3);
    expect(await list("channel=buyer:third")).toMatchObject({ matched: 1, processes: { answered: 3, silent: 0 } });
    await third.stop();
    await eventually(() => socket.closed === 1012);
    await eventually(async () => (await list("channel=buyer:third")).processes.silent === 0);
    expect(await list("channel=buyer:third")).toMatchObject({ matched: 0, processes: { answered: 2, silent: 0 } });
  });

  test("is for operators and admins", async () => {
    expect((await backend.call("GET", CONNECTIONS)).body.code).toBe("permission_denied");
    expect((await operator("GET", `${CONNECTIONS}?cursor=x`)).body.code).toBe("request_invalid");
  });
});

describe("GET /v1/gateway/connections/{id}", () => {
  const get = (id: string) => operator<ConnectionView>("GET", `${CONNECTIONS}/${id}`);

  test("shows how far each subscription is, and no secret", async () => {
    const socket = await buyer("far", two);
    const intent = await backend.broadcast({ buyer_id: "far", routing: { targets: [(await market.register()).id] } });
    await eventually(() => socket.events("buyer:far").length > 0);
    const { status, body } = await get(socket.id);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      id: socket.id,
      role: "buyer",
      protocol: "outcry.v1",
      subscriptions: [{ channel: "buyer:far", state: "live" }],
      queue: { bytes: expect.any(Number), frames: expect.any(Number) },
    });
    expect(body.head).toBeGreaterThan(0);
    expect(body.subscriptions[0]!.position).toBe(body.head);
    for (const time of [body.opened, body.last_alive])
      expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(60_000);
    expect(JSON.stringify(body)).not.toMatch(/eyJ|ock_|jti|credential/);
    expect(await socket.sub(`intent:${intent}`)).toBe("channel_forbidden");
  });

  test("one that is not there is not found", async () => {
    for (const id of [newId("con"), "x"])
      expect(await get(id)).toMatchObject({ status: 404, body: { code: "connection_not_found" } });
  });
});

describe("DELETE /v1/gateway/connections/{id}", () => {
  test("an admin ends a connection at whichever process it is, for good", async () => {
    for (const at of [one, two]) {
      const socket = await buyer("kicked", at);
      expect((await operator("DELETE", `${CONNECTIONS}/${socket.id}`)).body.code).toBe("permission_denied");
      expect((await market.admin("DELETE", `${CONNECTIONS}/${socket.id}`)).status).toBe(204);
      await eventually(() => socket.closed !== undefined);
      expect([socket.closed, socket.messages.at(-1)!.bye!.code]).toEqual([4504, "kicked"]);
      expect(await market.admin("DELETE", `${CONNECTIONS}/${socket.id}`)).toMatchObject({
        status: 404,
        body: { code: "connection_not_found" },
      });
    }
  });
});

// The gateway inside the process of `npm start` and as a process of its own, at the same time and configured as users do it.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createClient } from "@outcry/client";
import { newId } from "@outcry/protocol";
import { pickPort } from "@outcry/servers";
import { OpenSockets } from "./gateways.js";
import { eventually } from "./in-process.js";
import { CliWorld } from "./outcry-commands.js";
import { repository } from "./workspaces.js";

const SHOP = "https://shop.example";
const ORIGINS = { OUTCRY_WS_ALLOWED_ORIGINS: SHOP };
const MAIN = path.join(repository, "services", "gateway", "dist", "main.js");

let world: CliWorld;
let child: ChildProcess;
let apart: { url: string };
const sockets = new OpenSockets();

beforeAll(async () => {
  world = await CliWorld.start(ORIGINS);
  const port = await pickPort(0);
  apart = { url: `http://127.0.0.1:${port}` };
  const { natsUrl, natsAuthDir } = world.stack.servers;
  const env = {
    ...ORIGINS,
    PATH: process.env["PATH"],
    OUTCRY_PORT: String(port),
    OUTCRY_NATS_URL: natsUrl,
    OUTCRY_NATS_AUTH_DIR: natsAuthDir,
    OUTCRY_DATA_DIR: path.resolve(world.dataDir),
  };
  child = spawn(process.execPath, [MAIN], { env, stdio: "ignore" });
  await eventually(async () => (await fetch(`${apart.url}/readyz`).catch(() => undefined))?.status === 200, 30_000);
  await eventually(async () => (await fetch(`${world.stack.url}/readyz`)).status === 200, 30_000);
}, 90_000);
afterAll(async () => {
  await sockets.close();
  if (child !== undefined && child.exitCode === null) {
    child.kill("SIGTERM");
    await once(child, "exit");
  }
  await world?.stop();
}, 60_000);

describe("both layouts at once", () => {
  test("show, kick, revoke and publish at the gateway inside and at the one apart", async () => {
    const { admin, stack } = world;
    const { secret, backend_id: backendId } = await admin.createApiKey({ role: "backend", name: "shop" });
    const shop = createClient({ url: stack.url, apiKey: secret });
    const nodeId = await world.seller("quiet", (_intent, context) => context.decline("no_inventory"));
    const intentId = (
      await shop.post({ line_items: [{ query: "shoes" }], context: { currency: "EUR" }, buyer_id: "7" }, [nodeId])
    ).id;
    const channel = `intent:${intentId}`;
    const { token } = await shop.createToken({ buyer_id: "7", channels: [channel] });
    const both = [await sockets.open(stack, token), await sockets.open(apart, token)];
    for (const socket of both) expect(await socket.sub(channel)).toBe("ok");

    const { data, processes } = await admin.gateway.connections({ channel });
    expect([data.map(({ id }) => id), processes]).toEqual([
      both
        .map(({ id }) => id)
        .toSorted()
        .toReversed(),
      { answered: 2, silent: 0 },
    ]);
    expect(new Set(data.map(({ process }) => process)).size).toBe(2);

    const event = { id: newId("evt"), type: "ORDER_CREATED", data: { order_id: "1" } };
    expect((await shop.gateway.publish(channel, event)).status).toBe("published");
    expect((await shop.gateway.publish(channel, event)).status).toBe("repeated");
    await eventually(() => both.every((socket) => socket.events(channel).includes(event.id)));

    for (const socket of both) {
      expect((await admin.gateway.connection(socket.id)).subscriptions).toMatchObject([{ channel, state: "live" }]);
      await admin.gateway.kick(socket.id);
      await eventually(() => socket.closed === 4504);
    }
    const again = [await sockets.open(stack, token), await sockets.open(apart, token)];
    const { at, by } = await shop.gateway.revoke({ buyer_id: "7", reason: "signed out" });
    await eventually(() => again.every(({ closed }) => closed === 4503), 1_000);
    const { data: listed } = await admin.gateway.revocations({ backend_id: backendId! });
    expect(listed).toMatchObject([{ buyer_id: "7", reason: "signed out", at, by }]);
  }, 30_000);

  test("let pages of allowed origins in on every route but probes and metrics", async () => {
    const ask = async (url: string, origin: string, method = "OPTIONS") => {
      const { status, headers } = await fetch(url, {
        method,
        headers: { origin, ...(method === "OPTIONS" ? { "access-control-request-method": "GET" } : {}) },
      });
      return [status, headers.get("access-control-allow-origin")];
    };
    for (const { url } of [world.stack, apart]) {
      expect(await ask(`${url}/v1/stream`, SHOP)).toEqual([204, SHOP]);
      expect((await ask(`${url}/v1/stream`, "https://stranger.example"))[1]).toBeNull();
      for (const probe of ["livez", "readyz", "metrics"])
        expect(await ask(`${url}/${probe}`, SHOP, "GET")).toEqual([200, null]);
    }
    expect(await ask(`${world.stack.url}/v1/gateway/connections`, SHOP)).toEqual([204, SHOP]);
    expect(await ask(`${world.stack.url}/v1/intents/x`, SHOP)).toEqual([204, SHOP]);
    expect(await ask(`${world.stack.url}/v1/intents/x`, "https://stranger.example")).toEqual([403, null]);
    expect(await ask(`${world.stack.url}/v1/intents/x`, SHOP, "GET")).toEqual([401, SHOP]);
  });
});

// Threat 15 at the API with the rules of production: what may be registered, and a name that changes its mind afterwards.

import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { LIMITS, type WebhookCreated, type WebhookTested } from "@outcry/protocol";
import type { Backend } from "./api-calls.js";
import { type Market, startMarket } from "./in-process.js";
import { Receiver } from "./receiver.js";

const PUBLIC = "93.184.216.34";
const URL_OF_SHOP = "https://hooks.example.com/outcry";

let market: Market;
let backend: Backend;
let inside: Receiver;
let addresses: string[][] = [];

beforeAll(async () => {
  inside = await new Receiver().open();
  market = await startMarket({
    webhooks: {
      rules: { ports: [443, inside.port], allowPrivate: false },
      resolve: async () => (addresses.length > 1 ? addresses.shift()! : addresses[0]!),
    },
  });
  backend = await market.backend();
});
beforeEach(() => {
  addresses = [[PUBLIC]];
});
afterAll(async () => {
  await market.stop();
  await inside.close();
});

test("what is no public https URL is refused with its place, and nothing is kept", async () => {
  for (const url of [
    "http://hooks.example.com/",
    "https://127.0.0.1/",
    "https://0x7f.1/",
    "https://[::ffff:127.0.0.1]/",
    "https://localhost/",
    "https://user@hooks.example.com/",
    "https://hooks.example.com:6379/",
    "nonsense",
  ]) {
    const { status, body } = await backend.call("POST", "/v1/webhooks", { url });
    expect([url, status, body.code, body.errors[0]?.pointer]).toEqual([url, 400, "webhook_url_refused", "/url"]);
  }
  for (const resolved of [["127.0.0.1"], [PUBLIC, "10.0.0.1"], []]) {
    addresses = [resolved];
    const { body } = await backend.call("POST", "/v1/webhooks", { url: URL_OF_SHOP });
    expect(body.code).toBe("webhook_url_refused");
    for (const address of resolved) expect(JSON.stringify(body)).not.toContain(address);
  }
  expect((await backend.call<{ data: unknown[] }>("GET", "/v1/webhooks")).body.data).toEqual([]);
});

test("a name that resolves to loopback once it is registered is not called", async () => {
  addresses = [[PUBLIC], ["127.0.0.1"]];
  const url = `https://hooks.example.com:${inside.port}/`;
  const { body } = await backend.call<WebhookCreated>("POST", "/v1/webhooks", { url, enabled: false });
  const tested = (await backend.call<WebhookTested>("POST", `/v1/webhooks/${body.id}/test`)).body;
  expect(tested).toMatchObject({ delivered: false, error: "its host resolves to an address that is not public" });
  expect(tested.status).toBeUndefined();
  expect(inside.sockets).toBe(0);
  await backend.call("DELETE", `/v1/webhooks/${body.id}`);
});

test("a backend has a bounded number of webhooks", async () => {
  for (let nth = 0; nth < LIMITS.webhooksPerBackendMax; nth++) {
    const { status } = await backend.call("POST", "/v1/webhooks", { url: URL_OF_SHOP, enabled: false });
    expect(status).toBe(201);
  }
  const { status, body } = await backend.call("POST", "/v1/webhooks", { url: URL_OF_SHOP });
  expect([status, body.code]).toEqual([409, "webhook_limit"]);
});

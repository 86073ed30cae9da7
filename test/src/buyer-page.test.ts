// examples/buyer in a real browser: a live intent, the cable pulled and put back, the browser offline, and a gap that it tells.
// With OUTCRY_SCREENSHOTS=<folder> it keeps the picture that docs/client.md shows.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Client, createClient } from "@outcry/client";
import { createNode, type SellerNode } from "@outcry/node";
import { pickPort } from "@outcry/servers";
import { Browser, type Page } from "./browser.js";
import { eventually } from "./in-process.js";
import { type OwnGateway, startOwnGateway } from "./own-gateway.js";
import { type ProcessStack, startProcesses } from "./processes.js";
import { TcpProxy } from "./tcp-proxy.js";
import { repository } from "./workspaces.js";

const START_MS = 400_000; // a browser may have to be fetched first
const PRICES = [8_900, 7_450, 6_200, 5_100, 4_300]; // of the sellers, in the order in which they may quote

let stack: ProcessStack;
let backend: Client;
let cable: TcpProxy;
let pageServer: ChildProcess;
let browser: Browser;
let page: Page;
let intentId: string;
let origin: string;
let other: OwnGateway | undefined;
const sellers: { node: SellerNode; id: string; quote: () => void }[] = [];

async function join(admin: Client, name: string, amountMinor: number): Promise<void> {
  const { invite } = await admin.createInvite({ name });
  let quote = () => {};
  const allowed = new Promise<void>((resolve) => (quote = resolve));
  const node = createNode({
    url: stack.url,
    stateDir: path.join(stack.dataDir, "nodes", name),
    invite,
    registration: { name, categories: ["*"], regions: ["*"] },
  }).onIntent(async (_, context) => {
    await allowed;
    return context.quote({ amountMinor });
  });
  const { nodeId } = await node.start();
  sellers.push({ node, id: nodeId, quote });
}

beforeAll(async () => {
  browser = await Browser.start();
  const pagePort = await pickPort(0);
  origin = `http://127.0.0.1:${pagePort}`;
  stack = await startProcesses({
    services: { gateway: 1 },
    env: { OUTCRY_WS_ALLOWED_ORIGINS: origin, OUTCRY_QUOTE_WINDOW_DEFAULT_MS: "120000" },
  });
  const admin = createClient({ url: stack.url, apiKey: stack.adminKey });
  const { secret } = await admin.createApiKey({ role: "backend", name: "marketplace" });
  backend = createClient({ url: stack.url, apiKey: secret });
  for (const [index, price] of PRICES.entries()) await join(admin, `seller-${index}`, price);
  cable = await TcpProxy.to(stack.service("gateway").url);
  pageServer = spawn(process.execPath, [path.join(repository, "examples", "buyer", "serve.mjs")], {
    env: {
      OUTCRY_URL: stack.url,
      OUTCRY_GATEWAY_URL: `ws://${cable.host}/v1/ws`,
      OUTCRY_API_KEY: secret,
      PORT: String(pagePort),
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(pageServer.stdout!, "data");
  page = await browser.open(origin, { width: 1080, height: 720 });
}, START_MS);

afterAll(async () => {
  await browser?.close();
  pageServer?.kill();
  await Promise.all(sellers.map(({ node }) => node.drain({ timeoutMs: 500 })));
  await cable?.close();
  await other?.stop();
  await stack?.stop();
});

const texts = (selector: string) =>
  page.evaluate<string[]>(`[...document.querySelectorAll(${JSON.stringify(selector)})].map((one) => one.textContent)`);
const status = () => page.evaluate<string>("document.getElementById('status').dataset.state");
const prices = () => texts("#quotes td:nth-child(3)");
const euros = (...minors: number[]) => minors.map((minor) => `€${(minor / 100).toFixed(2)}`);
const notices = (kind: string) => texts(`#notices .${kind}`);
const timeline = () =>
  page.evaluate<[type: string, id: string][]>(
    "[...document.querySelectorAll('#timeline li')].map(({ dataset }) => [dataset.type, dataset.id])",
  );
const quoted = async (count: number) =>
  void (await eventually(async () => (await backend.quotes(intentId)).quotes.length === count, 20_000));
const shows = (...minors: number[]) =>
  eventually(async () => JSON.stringify(await prices()) === JSON.stringify(euros(...minors)), 30_000);

test("a buyer's page shows an intent as it happens: its events, its quotes ranked, its connection", async () => {
  await page.evaluate("document.querySelector('button').click()");
  await eventually(async () => (await status()) === "open", 20_000);
  intentId = (await page.evaluate<string>("document.getElementById('intent').textContent"))!;
  expect(intentId).toMatch(/^int_/);
  sellers[0]!.quote();
  await shows(8_900);
  sellers[1]!.quote();
  await shows(7_450, 8_900); // the better one above
  expect((await texts("#quotes td:first-child")).join()).toBe("1,2");
  const types = (await timeline()).map(([type]) => type);
  expect(types[0]).toBe("INTENT_CREATED");
  expect(types).toEqual(expect.arrayContaining(["INTENT_BROADCASTED", "NODE_RESPONDED"]));
  expect(types.filter((type) => type === "QUOTE_RECEIVED")).toHaveLength(2);
  expect([await notices("gap"), page.faults]).toEqual([[], []]);
}, 60_000);

test("a reload shows all of it again", async () => {
  const before = await timeline();
  await page.reload();
  await eventually(async () => (await timeline()).length >= before.length, 20_000);
  await shows(7_450, 8_900);
  expect((await timeline()).slice(0, before.length)).toEqual(before);
  expect([await status(), page.faults]).toEqual(["open", []]);
}, 60_000);

test("the cable pulled and put back costs it nothing: it says that it is cut off, and catches up", async () => {
  cable.goSilent();
  sellers[2]!.quote();
  await quoted(3);
  await sleep(300);
  const before = await timeline();
  expect(before.filter(([type]) => type === "QUOTE_RECEIVED")).toHaveLength(2); // the third does not get through
  cable.comeBack();
  await shows(6_200, 7_450, 8_900);
  await eventually(async () => (await notices("recovered")).length >= 1);
  expect((await notices("recovered"))[0]).toMatch(/^Caught up: [1-9]\d* events/);
  const after = await timeline();
  expect(after.slice(0, before.length)).toEqual(before);
  expect(new Set(after.map(([, id]) => id)).size).toBe(after.length); // nothing twice
  expect([await status(), await notices("gap")]).toEqual(["open", []]);
}, 60_000);

test("a browser that is offline says so, and comes back by itself", async () => {
  await page.offline(true);
  expect(await page.evaluate<boolean>("navigator.onLine")).toBe(false);
  await eventually(async () => (await status()) !== "open", 20_000);
  sellers[3]!.quote();
  await quoted(4);
  expect(await prices()).toEqual(euros(6_200, 7_450, 8_900));
  await page.offline(false);
  await shows(5_100, 6_200, 7_450, 8_900);
  await eventually(async () => (await notices("recovered")).length >= 2);
  const ids = (await timeline()).map(([, id]) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect([await status(), await notices("gap")]).toEqual(["open", []]);
  if (process.env["OUTCRY_SCREENSHOTS"] !== undefined) {
    mkdirSync(process.env["OUTCRY_SCREENSHOTS"], { recursive: true });
    await page.screenshot(path.join(process.env["OUTCRY_SCREENSHOTS"], "buyer-page.png"));
  }
}, 60_000);

test("a cursor that is taken no more is a gap that it tells; the quotes are read again over HTTP", async () => {
  cable.goSilent();
  sellers[4]!.quote();
  await quoted(5);
  other = await startOwnGateway(stack.brokers, { allowedOrigins: [origin] });
  cable.target = new URL(other.url).host;
  const read = await reads();
  cable.comeBack();
  await eventually(async () => (await notices("gap")).length === 1, 30_000);
  expect((await notices("gap"))[0]).toMatch(/^A gap \(cursor_invalid\)/);
  await shows(4_300, 5_100, 6_200, 7_450, 8_900);
  await eventually(async () => (await reads()) > read);
  const ids = (await timeline()).map(([, id]) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(page.faults).toEqual([]);
}, 60_000);

/** How often the page has read the quotes. */
const reads = () =>
  page.evaluate<number>(
    "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/quotes?')).length",
  );

// Hints over processes on one real NATS (docs/gateway-protocol.md §12).

import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import type { Backbone } from "@outcry/backbone";
import { startGateway, TestClient, type TestGateway } from "../engine.fixture.js";
import { MemorySource } from "../log/memory-source.fixture.js";
import type { GatewayLimits } from "../limits.js";
import { eventually, startTestNats, type TestNats } from "../nats-server.fixture.js";
import { natsBus } from "./process-bus.js";

let nats: TestNats;
let backbone: Backbone;
const gateways: TestGateway[] = [];
const clients: TestClient[] = [];

beforeAll(async () => {
  nats = await startTestNats();
  backbone = await nats.connect();
}, 30_000);

afterEach(async () => {
  for (const client of clients.splice(0)) client.ws.terminate();
  for (const gateway of gateways.splice(0)) await gateway.stop();
});

afterAll(() => nats.remove());

async function gatewayWith(limits: Partial<GatewayLimits> = {}): Promise<TestGateway> {
  const gateway = await startGateway(new MemorySource(), { bus: natsBus(backbone), limits });
  gateways.push(gateway);
  return gateway;
}

const CH = "group:g";

async function subscribed({ url }: TestGateway, name: string, ch = CH): Promise<TestClient> {
  const client = await TestClient.open(url, name);
  clients.push(client);
  expect((await client.subscribe(ch)).err).toBeUndefined();
  return client;
}

const hintsOf = (client: TestClient) => client.heard.flatMap(({ hint }) => (hint === undefined ? [] : [hint]));
const hint = (client: TestClient, data: unknown, kind = "typing") => client.command({ op: "hint", ch: CH, kind, data });

describe("12.7: a hint", () => {
  test("reaches the other subscribers in every process, not the one who gives it, and nobody elsewhere", async () => {
    const [one, other] = [await gatewayWith(), await gatewayWith()];
    const alice = await subscribed(one, "alice");
    const [here, there] = [await subscribed(one, "bob"), await subscribed(other, "carol")];
    const away = await subscribed(other, "dave", "group:h");
    expect((await hint(alice, { at: 1 })).err).toBeUndefined();
    await eventually(() => hintsOf(here).length === 1 && hintsOf(there).length === 1);
    expect(hintsOf(there)).toEqual([{ from: "alice", kind: "typing", data: { at: 1 } }]);
    expect([hintsOf(alice), hintsOf(away)]).toEqual([[], []]);
  });

  test("is taken back when nothing follows it, and when it says so itself", async () => {
    const gateway = await gatewayWith({ hintClearMs: 200 });
    const [alice, bob] = [await subscribed(gateway, "alice"), await subscribed(gateway, "bob")];
    await hint(alice, true);
    await eventually(() => hintsOf(bob).length === 2);
    await hint(alice, true);
    await eventually(() => hintsOf(bob).length === 3);
    await hint(alice, null);
    await eventually(() => hintsOf(bob).length === 4);
    expect(hintsOf(bob).map(({ data }) => data)).toEqual([true, null, true, null]);
  });

  test("counts as its last word alone, per member and kind; what is the same is told once", async () => {
    const gateway = await gatewayWith({ hintFlushMs: 150, hintsPerSecond: 100 });
    const [alice, bob] = [await subscribed(gateway, "alice"), await subscribed(gateway, "bob")];
    await Promise.all([1, 2, 3, 4].map((n) => hint(alice, n)));
    await hint(alice, "away", "status");
    await eventually(() => hintsOf(bob).length === 2);
    await hint(alice, 4);
    await hint(alice, 5);
    await eventually(() => hintsOf(bob).at(-1)?.data === 5);
    expect(hintsOf(bob).filter(({ kind }) => kind === "typing").length).toBeLessThanOrEqual(3);
    expect(hintsOf(bob).filter(({ data }) => data === "away")).toHaveLength(1);
  });

  test("is refused above five a second", async () => {
    const gateway = await gatewayWith();
    const alice = await subscribed(gateway, "alice");
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => hint(alice, n)));
    const refused = answers.filter(({ err }) => err?.code === "rate_limited");
    expect(refused.length).toBeGreaterThanOrEqual(14);
    expect(alice.closed).toBeUndefined();
  });

  test.each([
    ["a kind that is no word", { kind: "Typing!" }],
    ["no kind", {}],
    ["more than a kilobyte", { kind: "typing", data: "x".repeat(1_100) }],
  ])("with %s is refused", async (_what, more) => {
    const gateway = await gatewayWith();
    const alice = await subscribed(gateway, "alice");
    expect((await alice.command({ op: "hint", ch: CH, ...more })).err?.code).toBe("frame_invalid");
  });
});

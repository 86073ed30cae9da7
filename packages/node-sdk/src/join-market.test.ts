// A node that registers itself, against a nats-server in operator mode with the permissions of DESIGN "Trust".

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type ThrowawayNats, throwawayNats } from "@outcry/servers";
import { generateKey } from "@outcry/signing";
import { eventually } from "./eventually.fixture.js";
import { Market } from "./market.fixture.js";
import type { NodeFault, NodeOptions } from "./options.js";
import { createNode, type SellerNode } from "./seller-node.js";
import { newOperator, type Operator, TestService } from "./service.fixture.js";

let operator: Operator;
let nats: ThrowawayNats;
let market: Market;
let service: TestService;
let stateDir: string;
const nodes: SellerNode[] = [];

beforeAll(async () => {
  operator = await newOperator();
  nats = await throwawayNats({ operator: () => operator.setup });
});
afterAll(() => nats.remove());
beforeEach(async () => {
  market = await new Market(nats.url).open({ authenticator: await operator.authenticator() });
  service = await new TestService(operator, nats.url).open();
  market.key = service.serviceKeys[0]!;
  stateDir = join(mkdtempSync(join(tmpdir(), "outcry-state-")), "node");
});
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.drain({ timeoutMs: 0 })));
  await market.close();
  await service.close();
  rmSync(join(stateDir, ".."), { recursive: true, force: true });
});

const registration = { name: "Sample seller", categories: ["bags"], regions: ["DE"] };

function seller(options: Partial<NodeOptions> = {}): SellerNode {
  const node = createNode({ url: service.url, stateDir, invite: "inv-1", registration, ...options });
  nodes.push(node);
  return node.onIntent((_, ctx) => ctx.quote({ amountMinor: 990 }));
}

/** The intent is repeated, as the service repeats it: a node that is just reconnecting hears nothing. */
async function quotesOnce(node: SellerNode, nodeId: string): Promise<void> {
  const before = node.health().counters.quotesStored;
  const intent = market.intent();
  for (let attempt = 1; attempt <= 15 && node.health().counters.quotesStored === before; attempt++) {
    await market.send(nodeId, intent, { attempt });
    await sleep(20 * attempt);
  }
  await eventually(() => node.health().counters.quotesStored > before);
}

describe("joining", () => {
  test("registers once with its invite, keeps its secrets for the owner alone, and comes back under the same id", async () => {
    const first = seller();
    const { nodeId } = await first.start();
    await quotesOnce(first, nodeId);
    expect(service.requests).toEqual([
      "POST /v1/nodes",
      "POST /v1/nodes/{id}/credentials/challenge",
      "POST /v1/nodes/{id}/credentials",
    ]);
    expect(service.nodes.get(nodeId)!.registration).toMatchObject({ ...registration, capabilities: [] });
    await first.drain();
    const files = readdirSync(stateDir).sort();
    expect(files).toEqual(["nats-user.nk", "node.json", "signing-key.json"]);
    for (const file of files) expect(statSync(join(stateDir, file)).mode & 0o777).toBe(0o600);
    expect(statSync(stateDir).mode & 0o777).toBe(0o700);

    const second = seller({ invite: undefined as never, registration: undefined as never });
    expect(await second.start()).toEqual({ nodeId });
    await quotesOnce(second, nodeId);
    expect(service.requests.filter((request) => request === "POST /v1/nodes")).toHaveLength(1);
  });

  test("takes up its registration when the answer to it was lost", async () => {
    const first = await seller().start();
    rmSync(join(stateDir, "node.json"));
    expect(await seller().start()).toEqual(first);
    expect(await seller({ invite: undefined as never, registration: undefined as never }).start()).toEqual(first);
  });

  test("throws for what waiting cannot mend: a used invite, a foreign key, a secret that others may read", async () => {
    await expect(seller({ invite: "used" }).start()).rejects.toMatchObject({ code: "invite_invalid" });
    const { nodeId } = await seller().start();
    await expect(seller({ id: nodeId, key: generateKey() }).start()).rejects.toMatchObject({ code: "key_unknown" });
    chmodSync(join(stateDir, "nats-user.nk"), 0o644);
    await expect(seller().start()).rejects.toMatchObject({
      code: "config_invalid",
      message: expect.stringContaining("chmod 600"),
    });
    await expect(createNode({ url: service.url }).start()).rejects.toMatchObject({ code: "config_invalid" });
    await expect(seller({ stateDir: undefined as never }).start()).rejects.toThrow("stateDir");
  });

  test("waits for a service that is not up yet", async () => {
    await service.close();
    const faults: NodeFault[] = [];
    const node = seller({ random: () => 0 }).on("error", (fault) => faults.push(fault));
    const starting = node.start();
    await eventually(() => faults.length >= 2);
    expect(faults[0]!.error).toMatchObject({ code: "dependency_unavailable", temporary: true });
    await service.open();
    await quotesOnce(node, (await starting).nodeId);
  });
});

describe("credentials", () => {
  test("are renewed before they end, and the node goes on hearing intents", async () => {
    service.userLifeMs = 3_000;
    const node = seller();
    const { nodeId } = await node.start();
    const from = Date.now();
    while (Date.now() - from < 7_000) await quotesOnce(node, nodeId);
    const renewals = service.requests.filter((request) => request.endsWith("/credentials")).length - 1;
    expect(renewals).toBeGreaterThanOrEqual(2);
    expect(renewals).toBeLessThanOrEqual(5);
    await eventually(() => node.health().connected); // a renewal may be taking up its new connection just now
    expect(node.health()).toMatchObject({
      state: "connected",
      connected: true,
      counters: { rejected: 0, quotesRefused: 0 },
    });
  }, 20_000);

  test("are asked for until they are given, also after they have ended", async () => {
    service.userLifeMs = 1_500;
    const faults: NodeFault[] = [];
    const states: string[] = [];
    const node = seller({ random: () => 0 })
      .on("error", (fault) => faults.push(fault))
      .on("status", ({ state }) => states.push(state));
    const { nodeId } = await node.start();
    service.refusal = "node_suspended";
    await eventually(() => states.at(-1) === "disconnected");
    await eventually(() => faults.length >= 2);
    expect(faults[0]!.error).toMatchObject({ code: "node_suspended" });
    service.refusal = undefined;
    service.userLifeMs = 3_600_000;
    await eventually(() => states.at(-1) === "connected");
    await quotesOnce(node, nodeId);
    expect(states.filter((state, at) => state === states[at - 1])).toEqual([]);
    expect(Date.parse(node.health().credentialsExpire!)).toBeGreaterThan(Date.now() + 3_000_000);
  }, 20_000);

  test("bring the service's keys; after a rotation the key set is read once more", async () => {
    const node = seller();
    const { nodeId } = await node.start();
    const next = generateKey();
    service.serviceKeys = [...service.serviceKeys, next];
    await quotesOnce(node, nodeId);
    market.key = next;
    await quotesOnce(node, nodeId);
    market.key = generateKey();
    for (let index = 0; index < 5; index++) await market.send(nodeId, market.intent());
    await eventually(() => node.health().counters.rejected === 5);
    expect(service.requests.filter((request) => request.endsWith("jwks.json"))).toHaveLength(1);
  });
});

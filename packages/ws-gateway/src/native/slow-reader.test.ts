// Readers that do not read: docs/gateway-protocol.md §4.11, over the in-memory source and real sockets.

import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { startGateway, TestClient, type TestGateway } from "../engine.fixture.js";
import { MemorySource } from "../log/memory-source.fixture.js";
import { eventually } from "../nats-server.fixture.js";

let source: MemorySource;
let gateway: TestGateway;

beforeEach(async () => {
  source = new MemorySource();
  gateway = await startGateway(source);
});
afterEach(() => gateway.stop());

async function restart(more: Parameters<typeof startGateway>[1]): Promise<void> {
  await gateway.stop();
  gateway = await startGateway(source, more);
}

const closed = async (client: TestClient) => {
  await eventually(() => client.closed !== undefined);
  return client.closed!.code;
};

describe("slow readers", () => {
  const COUNT = 1_000;
  const all = Array.from({ length: COUNT }, (_, index) => index + 1);
  const text = "x".repeat(20_000); // 20 MB in all: more than the kernel's buffers take
  const publishAll = async () => {
    for (const n of all) {
      source.publish("rt.t.g.x", n, { text });
      if (n % 10 === 0) await sleep(2);
    }
  };
  const SMALL = { sweepMs: 10, stallMs: 200, closeMs: 200, queueBytesMax: 256 * 1024, ringBytesMax: 1024 * 1024 };

  test("4.11: one that takes nothing is closed with 4008 and resumes; the others get everything meanwhile", async () => {
    // Server and clients are one process here: on a busy machine it stands still for longer than 200 ms, and the quick one with it.
    await restart({ limits: { ...SMALL, stallMs: 2_000 } });
    const slow = await TestClient.open(gateway.url, "slow");
    const quick = await TestClient.open(gateway.url, "quick");
    await slow.subscribe("all:");
    await quick.subscribe("all:");
    slow.ws.pause();
    await publishAll();
    await eventually(() => quick.numbers("all:").length === COUNT && gateway.closed.includes("slow"));
    expect(quick.numbers("all:")).toEqual(all);
    expect(quick.closed).toBeUndefined(); // it may have fallen behind too, on a busy machine, and caught up
    expect(gateway.closed).toEqual(["slow"]);
    slow.ws.resume();
    await closed(slow);
    const again = await TestClient.open(gateway.url, "slow");
    const { ok } = await again.subscribe("all:", { cur: slow.cursors.get("all:") });
    expect(ok?.recovered).toBe(true);
    const before = slow.numbers("all:");
    await eventually(() => before.length + again.numbers("all:").length >= COUNT);
    expect([...before, ...again.numbers("all:")]).toEqual(all);
    await again.close();
    await quick.close();
  });

  test("4.11: one that pauses is caught up from the record without being closed", async () => {
    await restart({ limits: { ...SMALL, stallMs: 10_000 } });
    const client = await TestClient.open(gateway.url);
    await client.subscribe("all:");
    client.ws.pause();
    await publishAll();
    await eventually(() => gateway.engine.hub.counters.behind > 0); // twice where the kernel takes some more meanwhile
    client.ws.resume();
    await eventually(() => client.numbers("all:").length >= COUNT);
    source.publish("rt.t.g.x", COUNT + 1);
    await eventually(() => client.numbers("all:").length > COUNT);
    expect(client.numbers("all:")).toEqual([...all, COUNT + 1]);
    expect(client.closed).toBeUndefined();
    await client.close();
  });

  test("4.11: one that never catches up is closed with 4008", async () => {
    await restart({ limits: { ...SMALL, stallMs: 10_000, lagMs: 150 } });
    const client = await TestClient.open(gateway.url);
    await client.subscribe("all:");
    client.ws.pause();
    await publishAll();
    await eventually(() => gateway.closed.includes("slow"));
    client.ws.terminate();
  });
});

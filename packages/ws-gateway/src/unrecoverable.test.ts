// What cannot be recovered is said, on a real nats-server: docs/gateway-protocol.md §4.5, §4.8, §4.9.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { CursorCodec, cursorScope } from "./channels/cursor.js";
import { CURSOR_KEYS, TestClient } from "./engine.fixture.js";
import { EventsWorld } from "./events-world.fixture.js";
import { deleteEvents, eventually, purgeEvents } from "./nats-server.fixture.js";

let world: EventsWorld;

beforeAll(async () => {
  world = await EventsWorld.start();
});
afterAll(() => world.remove());
beforeEach(() => world.renew());

describe("what cannot be recovered", () => {
  test("4.5: a trimmed start is told, and nothing of the gap is replayed", async () => {
    const gateway = await world.gateway(world.source, { ringEventsMax: 5 });
    const client = await TestClient.open(gateway.url);
    const { ok } = await client.subscribe("all:");
    await client.close();
    for (let count = 0; count < 30; count++) await world.publisher.publish("rt.t.g.x");
    await eventually(() => gateway.engine.liveLog.last === 30);
    await purgeEvents(world.backbone, 11);
    const again = await TestClient.open(gateway.url);
    expect((await again.subscribe("all:", { cur: ok!.c })).ok).toMatchObject({ recovered: false, reason: "trimmed" });
    const started = await again.subscribe("one:x", { from: "start" });
    expect(started.ok).toMatchObject({ recovered: false, reason: "trimmed" });
    const n = await world.publisher.publish("rt.t.g.x");
    await eventually(() => again.numbers("all:").length === 1 && again.numbers("one:x").length === 21);
    expect(again.numbers("all:")).toEqual([n]);
    expect(again.numbers("one:x")).toEqual((await world.recorded("rt.t.*.x")).slice(-21));
    await again.close();
  });

  test("4.9: a forged cursor and one of another channel are refused; an older epoch's is recovered: false", async () => {
    const gateway = await world.gateway();
    const client = await TestClient.open(gateway.url);
    const { ok } = await client.subscribe("one:x");
    for (const cur of ["", "x".repeat(23), ok!.c!.toUpperCase(), ok!.c!]) {
      const { err } = await client.subscribe("one:y", { cur });
      expect(err).toMatchObject({ code: "cursor_invalid", n: 6003, retry: "never" });
    }
    const older = new CursorCodec(CURSOR_KEYS).write(cursorScope("one.x", "epoch-of-old"), { seq: 0, time: 0 });
    expect((await client.subscribe("one:x", { cur: older })).ok).toMatchObject({ recovered: false, reason: "epoch" });
    await client.close();
  });

  test("4.8: a stream that was deleted turns readiness red; made anew, every subscription is reset and goes on", async () => {
    const gateway = await world.gateway();
    const client = await TestClient.open(gateway.url);
    await client.subscribe("all:");
    for (let count = 0; count < 5; count++) await world.publisher.publish("rt.t.g.x");
    await eventually(() => client.numbers("all:").length === 5);
    const old = client.cursors.get("all:");
    await deleteEvents(world.backbone);
    await eventually(() => gateway.engine.unready !== undefined);
    await world.makeStream();
    await eventually(() => gateway.engine.unready === undefined);
    await eventually(() => client.heard.some(({ reset }) => reset !== undefined));
    expect(client.heard.find(({ reset }) => reset !== undefined)?.reset?.reason).toBe("epoch");
    expect((await client.subscribe("one:x", {})).ok).toBeDefined();
    const n = await world.publisher.publish("rt.t.g.x");
    await eventually(() => client.numbers("one:x").length === 1 && client.numbers("all:").length === 6);
    expect(client.numbers("all:").at(-1)).toBe(n);
    expect((await client.subscribe("all:", { cur: old })).ok).toMatchObject({ recovered: false, reason: "epoch" });
    await client.close();
  }, 30_000);
});

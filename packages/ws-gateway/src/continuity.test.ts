// Replay, then live, on a real nats-server: docs/gateway-protocol.md §4. The stream is the oracle.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { forward, lossySource, seeded, TestClient } from "./engine.fixture.js";
import type { EventSource } from "./log/event-source.js";
import { EventsWorld } from "./events-world.fixture.js";
import { eventually } from "./nats-server.fixture.js";
import { Roamer } from "./roamer.fixture.js";

let world: EventsWorld;

beforeAll(async () => {
  world = await EventsWorld.start();
});
afterAll(() => world.remove());
beforeEach(() => world.renew());

const SUBJECTS = ["rt.t.g.x", "rt.t.g.y", "rt.t.h.x", "rt.t.h.z", "rt.t.g.x"];
const CHANNELS = { "one:x": "rt.t.*.x", "group:g": "rt.t.g.>", "all:": "rt.>" } as const;

describe("replay, then live", () => {
  test.each([1, 2, 3, 4])(
    "4.3: no gap, no double over two gateways that lose, double and reorder live messages (seed %i)",
    async (seed) => {
      const random = seeded(seed);
      const faults = { random, drop: 0.02, double: 0.02, late: 0.02 };
      const limits = seed % 2 === 0 ? { ringEventsMax: 40, replayMessages: 16 } : {};
      const urls = [
        (await world.gateway(lossySource(world.source, faults), limits)).url,
        (await world.gateway(lossySource(world.source, faults), limits)).url,
      ];
      const roamers = [...Object.keys(CHANNELS), ...Object.keys(CHANNELS)].map(
        (channel) => new Roamer(channel, urls, random),
      );
      const roaming = roamers.map((roamer) => roamer.roam());
      for (let sent = 0; sent < 1_200;) {
        const burst = 1 + Math.floor(random() * 20);
        await Promise.all(
          Array.from({ length: burst }, () =>
            world.publisher.publish(SUBJECTS[Math.floor(random() * SUBJECTS.length)]!),
          ),
        );
        sent += burst;
        await sleep(random() * 10);
      }
      for (const roamer of roamers) roamer.stop();
      await Promise.all(roaming);
      for (const roamer of roamers) {
        const expected = await world.recorded(CHANNELS[roamer.channel as keyof typeof CHANNELS]);
        await roamer.finish(expected.length);
        expect({ channel: roamer.channel, got: roamer.got }).toEqual({ channel: roamer.channel, got: expected });
        expect(new Set(roamer.recoveries)).toEqual(new Set([true]));
      }
      expect(world.gateways.reduce((sum, { engine }) => sum + engine.liveLog.counters.filled, 0)).toBeGreaterThan(0);
    },
    60_000,
  );

  test("4.3: the server killed with -9 and started again, sockets stay open and miss nothing", async () => {
    const gateway = await world.gateway();
    const client = await TestClient.open(gateway.url);
    await client.subscribe("all:");
    for (let round = 0; round < 3; round++) {
      await Promise.all(Array.from({ length: 30 }, () => world.publisher.publish("rt.t.g.x")));
      await world.nats.kill9();
      await eventually(() => gateway.engine.unready !== undefined);
      await world.nats.restart();
      await eventually(() => gateway.engine.unready === undefined);
      // Published while the gateway's own subscription may not be back: only the check of the head finds these.
      await world.publisher.publish("rt.t.h.z");
    }
    await eventually(() => client.numbers("all:").length >= 93);
    expect(client.numbers("all:")).toEqual(await world.recorded("rt.>"));
    expect(client.closed).toBeUndefined();
    expect(client.heard.filter(({ reset }) => reset !== undefined)).toEqual([]);
    await client.close();
  }, 60_000);

  test("4.1: an empty channel's reply carries a cursor that resumes", async () => {
    const gateway = await world.gateway();
    const first = await TestClient.open(gateway.url);
    const { ok } = await first.subscribe("one:x");
    expect(ok).toEqual({ ch: "one:x", c: expect.stringMatching(/^[A-Za-z0-9_-]{23}$/) });
    await first.close();
    const n = await world.publisher.publish("rt.t.g.x");
    await world.publisher.publish("rt.t.g.y");
    const second = await TestClient.open(gateway.url);
    expect((await second.subscribe("one:x", { cur: ok!.c })).ok).toMatchObject({ recovered: true });
    await eventually(() => second.numbers("one:x").length > 0);
    expect(second.numbers("one:x")).toEqual([n]);
    await second.close();
  });

  test("4.2, 4.6, 4.7: without a cursor only later events, from the start all of them, and a position when they are through", async () => {
    const gateway = await world.gateway(world.source, { replayMessages: 7, ringEventsMax: 5 });
    await Promise.all(Array.from({ length: 60 }, () => world.publisher.publish("rt.t.g.x")));
    await eventually(() => gateway.engine.liveLog.last === 60);
    const client = await TestClient.open(gateway.url);
    expect((await client.subscribe("group:g")).ok?.recovered).toBeUndefined();
    expect((await client.subscribe("one:x", { from: "start" })).ok?.recovered).toBe(true);
    await eventually(() => client.heard.some(({ ch, pos }) => ch === "one:x" && pos !== undefined));
    expect(client.numbers("one:x")).toEqual(await world.recorded("rt.t.*.x"));
    expect(client.numbers("group:g")).toEqual([]);
    const n = await world.publisher.publish("rt.t.g.x");
    await eventually(() => client.numbers("group:g").length === 1);
    expect(client.numbers("one:x").at(-1)).toBe(n);
    await client.close();
  });

  test("4.3: the last message before a silence, lost live, is found by the tail check", async () => {
    const source = world.source;
    const deaf: EventSource = { ...forward(source), listen: () => () => undefined };
    const gateway = await world.gateway(deaf, { headCheckMs: 60_000 });
    const client = await TestClient.open(gateway.url);
    await client.subscribe("one:x");
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => client.numbers("one:x").length === 1);
    await client.close();
  });

  test("4.9: the same position has the same cursor at two gateways, however they came to it", async () => {
    const lossy = lossySource(world.source, { random: seeded(9), drop: 0.3 });
    const [one, other] = [await world.gateway(), await world.gateway(lossy)];
    const clients = [await TestClient.open(one.url), await TestClient.open(other.url)];
    for (const client of clients) await client.subscribe("all:");
    for (let count = 0; count < 20; count++) await world.publisher.publish("rt.t.g.x");
    for (const client of clients) await eventually(() => client.numbers("all:").length === 20);
    const cursors = clients.map((client) => client.heard.filter(({ c }) => c !== undefined).map(({ c }) => c));
    expect(cursors[0]).toEqual(cursors[1]);
    for (const client of clients) await client.close();
  });
});

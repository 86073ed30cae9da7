// What a throwaway build of the gateway fell into before this one was written, on a real nats-server, one test per trap. Sources of their own
// lose, delay or break one thing each; the stream is the oracle.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import type { Incoming } from "@outcry/backbone";
import { CursorCodec, cursorScope } from "./channels/cursor.js";
import { CURSOR_KEYS, forward, TestClient, testPolicy, startGateway } from "./engine.fixture.js";
import { EventsWorld } from "./events-world.fixture.js";
import type { EventSource } from "./log/event-source.js";
import { deleteEvents, eventually, makeEvents, purgeEvents } from "./nats-server.fixture.js";

let world: EventsWorld;

beforeAll(async () => {
  world = await EventsWorld.start();
});
afterAll(() => world.remove());
beforeEach(() => world.renew());

describe("the live path", () => {
  test("4.3: the first and the last message of a topic are lost on a wildcard channel: filled in before what comes next", async () => {
    let lost = 0;
    const source = world.source;
    const losing: EventSource = {
      ...forward(source),
      listen: (onMessage) =>
        source.listen((message) => (message.subject.endsWith(".new") && lost++ < 2 ? undefined : onMessage(message))),
    };
    const gateway = await world.gateway(losing);
    const client = await TestClient.open(gateway.url);
    await client.subscribe("group:g");
    await world.publisher.publish("rt.t.g.x");
    await world.publisher.publish("rt.t.g.new"); // the first of its topic: no earlier one is behind it in a chain
    await world.publisher.publish("rt.t.g.x");
    await world.publisher.publish("rt.t.g.new"); // the last: none follows
    await world.publisher.publish("rt.t.h.other");
    await eventually(() => client.numbers("group:g").length === 4);
    expect(client.numbers("group:g")).toEqual([1, 2, 3, 4]);
    expect(lost).toBe(2);
    expect(gateway.engine.liveLog.counters).toMatchObject({ resets: 0 });
    expect(gateway.engine.liveLog.counters.filled).toBeGreaterThanOrEqual(2);
    await client.close();
  });

  test("4.3: a publisher sets Nats-Sequence, Nats-Time-Stamp and the rest on a captured subject: the server's own count", async () => {
    const gateway = await world.gateway();
    const client = await TestClient.open(gateway.url);
    await client.subscribe("all:");
    for (let n = 1; n <= 5; n++) {
      const headers = {
        "Nats-Sequence": n % 2 === 0 ? "1" : "900000",
        "Nats-Stream": "OTHER",
        "Nats-Subject": "rt.t.forged.y",
        "Nats-Time-Stamp": "2001-01-01T00:00:00Z",
      };
      world.backbone.publish("rt.t.g.x", Buffer.from(JSON.stringify({ n })), { headers });
    }
    await eventually(() => client.numbers("all:").length === 5);
    expect(client.numbers("all:")).toEqual([1, 2, 3, 4, 5]);
    expect(gateway.engine.liveLog.last).toBe(5);
    expect(gateway.engine.liveLog.counters).toMatchObject({ resets: 0, doubled: 0 });
    await client.close();
  });

  test("4.3: a callback of the NATS client that throws does not kill the reader, and its event comes all the same", async () => {
    const { source } = world;
    let thrown = 0;
    const throwing: EventSource = {
      ...forward(source),
      listen: (onMessage) =>
        source.listen((message) => {
          if (message.seq % 3 === 0 && thrown++ < 3) throw new Error("a fault in the callback");
          onMessage(message);
        }),
    };
    const gateway = await world.gateway(throwing);
    const client = await TestClient.open(gateway.url);
    await client.subscribe("all:");
    const failedBefore = world.backbone.counters.handlerFailures;
    for (let count = 0; count < 10; count++) await world.publisher.publish("rt.t.g.x");
    await eventually(() => client.numbers("all:").length === 10);
    expect(client.numbers("all:")).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect([thrown, world.backbone.counters.handlerFailures - failedBefore]).toEqual([3, 3]);
    await client.close();
  });

  test("4.3: a policy that throws for one event costs that event's dispatch, not the reader", async () => {
    const policy = {
      ...testPolicy,
      keysOf: (subject: string) => {
        if (subject.endsWith(".poison")) throw new Error("a fault in the policy");
        return testPolicy.keysOf(subject);
      },
    };
    const gateway = await startGateway(world.source, { policy });
    world.gateways.push(gateway);
    const client = await TestClient.open(gateway.url);
    await client.subscribe("all:");
    for (const subject of ["rt.t.g.x", "rt.t.g.poison", "rt.t.g.y"]) await world.publisher.publish(subject);
    await eventually(() => client.numbers("all:").length === 2);
    expect(client.numbers("all:")).toEqual([1, 3]);
    expect(gateway.engine.liveLog.counters.failures).toBe(1);
    await client.close();
  });
});

describe("the stream", () => {
  test("4.8: a recreated stream looks like duplicates: noticed by its first message, between two looks", async () => {
    const gateway = await world.gateway(world.source, { tailCheckMs: 60_000, headCheckMs: 60_000 });
    const client = await TestClient.open(gateway.url);
    await client.subscribe("all:");
    for (let count = 0; count < 5; count++) await world.publisher.publish("rt.t.g.x");
    await eventually(() => client.numbers("all:").length === 5);
    await deleteEvents(world.backbone);
    await world.makeStream();
    await world.publisher.publish("rt.t.g.y");
    await eventually(() => client.heard.some(({ reset }) => reset !== undefined));
    const n = await world.publisher.publish("rt.t.g.z");
    await eventually(() => client.numbers("all:").at(-1) === n);
    await client.close();
  });

  test("4.8: a late message of the lost stream reaches the recreated one while that is empty: it is not taken for its first", async () => {
    const { source } = world;
    const late: (() => void)[] = [];
    const repeating: EventSource = {
      ...forward(source),
      listen: (onMessage) =>
        source.listen((message) => {
          late.push(() => onMessage(message));
          onMessage(message);
        }),
    };
    const gateway = await world.gateway(repeating);
    const client = await TestClient.open(gateway.url);
    await client.subscribe("all:");
    await world.publisher.publish("rt.t.g.x");
    await eventually(() => client.numbers("all:").length === 1);
    await deleteEvents(world.backbone);
    await world.makeStream();
    await eventually(() => client.heard.some(({ reset }) => reset !== undefined));
    late[0]!();
    const n = await world.publisher.publish("rt.t.g.x");
    await eventually(() => client.numbers("all:").at(-1) === n);
    expect(client.numbers("all:")).toEqual([1, n]);
    await client.close();
  });

  test("4.8: a recreated stream under the old epoch, shorter than what was heard, is noticed by its end", async () => {
    const gateway = await world.gateway(world.source, { tailCheckMs: 60_000, headCheckMs: 60_000 });
    const client = await TestClient.open(gateway.url);
    await client.subscribe("all:");
    for (let count = 0; count < 5; count++) await world.publisher.publish("rt.t.g.x");
    await eventually(() => client.numbers("all:").length === 5);
    const old = client.cursors.get("all:");
    await deleteEvents(world.backbone);
    await makeEvents(world.backbone, world.epoch);
    await world.publisher.publish("rt.t.g.y");
    await eventually(() => client.heard.some(({ reset }) => reset !== undefined));
    expect(gateway.engine.liveLog.counters.resets).toBe(1);
    const n = await world.publisher.publish("rt.t.g.z");
    await eventually(() => client.numbers("all:").at(-1) === n);
    expect((await client.subscribe("all:", { cur: old })).ok).toMatchObject({ recovered: false, reason: "ahead" });
    await client.close();
  });

  test("4.6: 1,100 subjects are too many for multi_last (413), and none for a replay and the head", async () => {
    const SUBJECTS = 1_100;
    for (let sent = 0; sent < SUBJECTS; sent += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, at) => world.publisher.publish(`rt.t.g.s${sent + at}`)));
    }
    expect(await multiLastStatus()).toBe(413);
    const gateway = await world.gateway(world.source, { ringEventsMax: 10 });
    expect(gateway.engine.liveLog.last).toBe(SUBJECTS);
    const client = await TestClient.open(gateway.url);
    expect((await client.subscribe("group:g", { from: "start" })).ok).toMatchObject({ recovered: true });
    await eventually(() => client.numbers("group:g").length === SUBJECTS);
    expect(client.numbers("group:g")).toEqual(await world.recorded("rt.t.g.>"));
    await client.close();
  });

  const multiLastStatus = async (): Promise<number> => {
    const query = Buffer.from(JSON.stringify({ multi_last: ["rt.t.g.>"] }));
    const reply: Incoming = await world.backbone.request("$JS.API.DIRECT.GET.EVENTS", query);
    return reply.headers.status;
  };
});

describe("cursors and replays", () => {
  test("4.5: a cursor ahead of the process waits for it; one ahead of the stream is recovered: false at once", async () => {
    const source = world.source;
    const deaf: EventSource = { ...forward(source), listen: () => () => undefined };
    const behind = await world.gateway(deaf, { tailCheckMs: 60_000 });
    const current = await world.gateway(source);
    const early = await TestClient.open(current.url);
    await early.subscribe("one:x");
    for (let count = 0; count < 10; count++) await world.publisher.publish("rt.t.g.x");
    await eventually(() => early.numbers("one:x").length === 10);
    expect(behind.engine.liveLog.last).toBe(0);
    const moved = await TestClient.open(behind.url);
    expect((await moved.subscribe("one:x", { cur: early.cursors.get("one:x") })).ok).toMatchObject({
      recovered: true,
      c: early.cursors.get("one:x"),
    });
    expect(behind.engine.liveLog.last).toBe(10);

    const scope = cursorScope("one.x", world.epoch);
    const beyond = new CursorCodec(CURSOR_KEYS).write(scope, { seq: 1_000_000, time: Date.now() });
    expect((await moved.subscribe("one:x", { cur: beyond })).ok).toMatchObject({ recovered: false, reason: "ahead" });
    await early.close();
    await moved.close();
  });

  test("4.5: a cursor of a recreated stream at a gateway that has not noticed it: nothing of the lost stream comes again", async () => {
    const { source } = world;
    const late: (() => void)[] = [];
    const unaware: EventSource = {
      ...forward(source),
      onUp: () => () => undefined,
      listen: (onMessage) =>
        source.listen((message) => void (message.seq > 3 ? late.push(() => onMessage(message)) : onMessage(message))),
    };
    const behind = await world.gateway(unaware, { tailCheckMs: 60_000, headCheckMs: 60_000 });
    const current = await world.gateway();
    const first = await TestClient.open(current.url);
    await first.subscribe("all:");
    for (let count = 0; count < 5; count++) await world.publisher.publish("rt.t.g.x");
    await eventually(() => first.numbers("all:").length === 5 && late.length === 2);
    await deleteEvents(world.backbone);
    await world.makeStream();
    await eventually(() => first.heard.some(({ reset }) => reset !== undefined));
    expect(behind.engine.liveLog.last).toBe(3);

    const moved = await TestClient.open(behind.url);
    const cur = first.cursors.get("all:");
    const refused = await moved.subscribe("all:", { cur });
    expect(refused.err).toMatchObject({ code: "dependency_unavailable", retry: "after" });
    for (const arrive of late) arrive();
    await eventually(async () => (await moved.subscribe("all:", { cur })).ok?.recovered === true);
    const n = await world.publisher.publish("rt.t.g.x");
    await eventually(() => current.engine.liveLog.last === 1 && late.length === 2);
    await eventually(() => moved.numbers("all:").length > 0);
    expect(moved.numbers("all:")).toEqual([n]);
    await first.close();
    await moved.close();
  });

  test("4.3: the ring runs on during a replay: another page is read, and nothing is lost or doubled", async () => {
    const { source } = world;
    let pages = 0;
    const outrun: EventSource = {
      ...forward(source),
      async read(query) {
        const page = await source.read(query);
        if (query.filter === undefined || pages++ >= 6) return page;
        for (let count = 0; count < 8; count++) await world.publisher.publish("rt.t.g.x"); // more than the ring holds
        const last = world.publisher.sent.length;
        await eventually(() => gateway.engine.liveLog.last === last);
        return page;
      },
    };
    const gateway = await world.gateway(outrun, { ringEventsMax: 5, replayMessages: 10 });
    for (let count = 0; count < 50; count++) await world.publisher.publish("rt.t.g.x");
    await eventually(() => gateway.engine.liveLog.last === 50);
    const client = await TestClient.open(gateway.url);
    expect((await client.subscribe("one:x", { from: "start" })).ok).toMatchObject({ recovered: true });
    await eventually(() => client.heard.some(({ pos }) => pos !== undefined));
    const n = await world.publisher.publish("rt.t.g.x");
    await eventually(() => client.numbers("one:x").at(-1) === n);
    expect(pages).toBeGreaterThan(6);
    expect(client.numbers("one:x")).toEqual(await world.recorded("rt.t.*.x"));
    await client.close();
  });

  test("4.8: the stream is trimmed during a replay: a reset is told where the rest is gone, and no gap is silent", async () => {
    const { source } = world;
    let pages = 0;
    const trimmedUnderneath: EventSource = {
      ...forward(source),
      async read(query) {
        if (query.filter !== undefined && ++pages === 3) await purgeEvents(world.backbone, 41);
        return source.read(query);
      },
    };
    const gateway = await world.gateway(trimmedUnderneath, { ringEventsMax: 5, replayMessages: 10 });
    for (let count = 0; count < 60; count++) await world.publisher.publish("rt.t.g.x");
    await eventually(() => gateway.engine.liveLog.last === 60);
    const client = await TestClient.open(gateway.url);
    expect((await client.subscribe("one:x", { from: "start" })).ok).toMatchObject({ recovered: true });
    await eventually(() => client.heard.some(({ reset }) => reset !== undefined));
    const n = await world.publisher.publish("rt.t.g.x");
    await eventually(() => client.numbers("one:x").at(-1) === n);
    expect(client.heard.find(({ reset }) => reset !== undefined)?.reset).toMatchObject({ reason: "trimmed" });
    expect(client.numbers("one:x")).toEqual([...Array.from({ length: 20 }, (_, at) => at + 1), n]);
    await client.close();
  });
});

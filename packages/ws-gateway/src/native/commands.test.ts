// What a client may send: docs/gateway-protocol.md §1.4, §1.5, §3, over the in-memory source.

import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { once } from "node:events";
import { connect } from "node:net";
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

const closed = async (client: TestClient) => {
  await eventually(() => client.closed !== undefined);
  return client.closed!.code;
};

describe("commands", () => {
  test("1.4, 3.4, 3.5: several in one frame, answered each by its id", async () => {
    const client = await TestClient.open(gateway.url);
    client.ws.send('{"id":"a","op":"ping"}\n{"op":"pong"}\n{"id":"b","op":"sub","ch":"all:"}\n');
    expect(await client.reply("a")).toEqual({ id: "a", ok: {} });
    expect((await client.reply("b")).ok?.ch).toBe("all:");
    await client.close();
  });

  test("3.3: after unsub nothing follows, also when the subscription was not yet open", async () => {
    const client = await TestClient.open(gateway.url);
    await client.subscribe("all:");
    await client.command({ op: "unsub", ch: "all:" });
    client.ws.send('{"id":"s","op":"sub","ch":"one:x","from":"start"}\n{"id":"u","op":"unsub","ch":"one:x"}');
    await client.reply("u");
    source.publish("rt.t.g.x", 1);
    await client.command({ op: "ping" });
    await sleep(20);
    expect(client.heard.filter(({ d }) => d !== undefined)).toEqual([]);
    expect((await client.command({ op: "unsub", ch: "never:subscribed" })).ok).toEqual({ ch: "never:subscribed" });
    await client.close();
  });

  test("3.6: an unknown operation is refused and the connection goes on", async () => {
    const client = await TestClient.open(gateway.url);
    expect((await client.command({ op: "fly" })).err).toMatchObject({ code: "frame_invalid", n: 6004 });
    expect((await client.command({ op: "ping" })).ok).toEqual({});
    await client.close();
  });

  test.each(["hello", '{"id":1,"id":2}', "[1]"])(
    "3.7: %j is answered without an id and closed with 4501",
    async (text) => {
      const client = await TestClient.open(gateway.url);
      client.ws.send(text);
      expect((await client.reply(null)).err).toBeDefined();
      expect(await closed(client)).toBe(4501);
    },
  );

  test("3.7: a binary frame is closed with 4501", async () => {
    const client = await TestClient.open(gateway.url);
    client.ws.send(Buffer.from('{"id":1,"op":"ping"}'), { binary: true });
    expect(await closed(client)).toBe(4501);
  });

  test("1.5: a frame beyond 64 KiB is closed with 1009, invalid UTF-8 with 1007", async () => {
    const large = await TestClient.open(gateway.url);
    large.ws.send("x".repeat(64 * 1024 + 1));
    expect(await closed(large)).toBe(1009);
    const broken = await TestClient.open(gateway.url);
    broken.ws.send(Buffer.from([0xff, 0xfe]), { binary: false });
    expect(await closed(broken)).toBe(1007);
  });

  test("1.5: an unmasked frame is closed with 1002, and the process goes on", async () => {
    const socket = connect(Number(new URL(gateway.url).port), "127.0.0.1");
    socket.write(
      [
        "GET /v1/ws HTTP/1.1",
        "Host: x",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "",
        "",
      ].join("\r\n"),
    );
    await once(socket, "data");
    socket.write(Buffer.from([0x81, 0x02, 0x7b, 0x7d]));
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect([answer[0], answer.readUInt16BE(2)]).toEqual([0x88, 1002]);
    socket.destroy();
    await eventually(() => gateway.engine.connections === 0);
  });

  test("3.8: a flood is closed with 4013", async () => {
    const client = await TestClient.open(gateway.url);
    client.ws.send('{"id":1,"op":"ping"}\n'.repeat(400));
    expect(await closed(client)).toBe(4013);
  });

  test("3.9: the 129th subscription is refused, one of the 128 may begin anew", async () => {
    const client = await TestClient.open(gateway.url);
    for (let index = 0; index < 128; index++) expect((await client.subscribe(`one:${index}`)).ok).toBeDefined();
    expect((await client.subscribe("one:more")).err).toMatchObject({ code: "subscription_limit" });
    expect((await client.subscribe("one:0")).ok).toBeDefined();
    await client.close();
    expect(gateway.engine.hub.groups).toBeGreaterThanOrEqual(0);
    await eventually(() => gateway.engine.hub.groups === 0);
  });

  test("3.10: a forbidden channel and one that does not exist are refused alike", async () => {
    const client = await TestClient.open(gateway.url);
    const [forbidden, absent] = [await client.subscribe("one:secret"), await client.subscribe("nothing:here")];
    expect(forbidden.err).toEqual(absent.err);
    expect(forbidden.err).toMatchObject({ code: "channel_forbidden", n: 6001, retry: "never" });
    await client.close();
  });

  test("5.1: an event is encoded once, however many listen to the channel", async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, () => TestClient.open(gateway.url)));
    for (const client of clients) await client.subscribe("one:x");
    for (let n = 1; n <= 5; n++) source.publish("rt.t.g.x", n);
    for (const client of clients) await eventually(() => client.numbers("one:x").length === 5);
    expect(gateway.engine.hub.counters).toMatchObject({ encoded: 5, delivered: 100 });
    for (const client of clients) await client.close();
  });
});

// Kinds of channels that another service brings (docs/gateway-protocol.md §13): a small echo service behind NATS, the stock Phoenix client
// and `outcry.v1` in front.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Backbone, encodeHeaders } from "@outcry/backbone";
import { Centrifuge } from "centrifuge";
import { newId, TOPICS } from "@outcry/protocol";
import { type Channel, Socket as PhoenixSocket } from "phoenix";
import { WebSocket } from "ws";
import type { Caller, ChannelKind } from "./channel-kinds.js";
import {
  createKey,
  eventually,
  intentEvent,
  type Key,
  serve,
  type Served,
  Socket,
  startWorld,
  token,
  type World,
} from "./service.fixture.js";

const TAKES_PART = { view: "full", isPresent: true, seesPresence: true } as const;
const ECHO: ChannelKind = {
  name: "echo",
  rights: { backend: TAKES_PART, buyer: TAKES_PART },
  asksAtJoin: true,
  commands: ["say", "silence", "nonsense"],
};

let world: World;
let served: Served;
let key: Key;
let phoenix: PhoenixSocket;
const asked: Caller[] = [];

beforeAll(async () => {
  world = await startWorld();
  await answer(await world.connect("service"));
  served = await serve(world, { kinds: [ECHO] });
  key = await createKey(world, "backend");
  phoenix = new PhoenixSocket(`${served.url.replace("http", "ws")}/socket`, {
    transport: WebSocket,
    params: { token: key.secret },
  });
  phoenix.connect();
}, 30_000);
afterAll(async () => {
  phoenix.disconnect();
  await served.close();
  await world.remove();
});

/** The service that owns the kind. */
async function answer(service: Backbone): Promise<void> {
  service.subscribe("cmd.echo.*", ({ subject, data, headers, reply }) => {
    const caller = JSON.parse(Buffer.from(headers.last("Outcry-Caller")!, "base64url").toString()) as Caller;
    const command = subject.split(".")[2];
    asked.push(caller);
    if (command === "silence") return;
    const isForbidden = command === "join" && caller.channel.endsWith("_closed");
    const fields = isForbidden
      ? { "Outcry-Error": "channel_forbidden" }
      : command === "nonsense"
        ? { "Outcry-Error": "no_such_code" }
        : contentType(headers.last("Content-Type"));
    service.publish(reply!, isForbidden ? Buffer.from("it is closed") : data, { headers: encodeHeaders(fields) });
  });
  await service.flush();
}

const contentType = (type: string | undefined): Record<string, string> =>
  type === undefined ? {} : { "Content-Type": type };

async function joined(topic: string): Promise<Channel> {
  const channel = phoenix.channel(topic, {});
  const outcome = await new Promise((resolve) => {
    channel
      .join()
      .receive("ok", () => resolve("ok"))
      .receive("error", (refusal: object) => resolve(refusal));
  });
  expect(outcome).toBe("ok");
  return channel;
}

const push = (channel: Channel, event: string, payload: object): Promise<[status: string, response: unknown]> =>
  new Promise((resolve) => {
    channel
      .push(event, payload, 8_000)
      .receive("ok", (response: unknown) => resolve(["ok", response]))
      .receive("error", (response: unknown) => resolve(["error", response]));
  });

describe("a kind of channel that another service brings", () => {
  test("13.1: a push of the stock Phoenix client is answered by the service behind the kind, JSON or bytes", async () => {
    const channel = await joined("echo:one");
    expect(await push(channel, "say", { hello: ["world", 1] })).toEqual(["ok", { hello: ["world", 1] }]);
    const bytes = Uint8Array.from([0, 255, 1, 2]).buffer;
    const [status, response] = await push(channel, "say", bytes);
    expect([status, [...new Uint8Array(response as ArrayBuffer)]]).toEqual(["ok", [0, 255, 1, 2]]);
    expect(asked.at(-1)).toEqual({ channel: "echo:one", role: "backend", backend_id: key.backendId });
    channel.leave();
  });

  test("13.1: so is a call of the stock Centrifugo client", async () => {
    const url = `${served.url.replace("http", "ws")}/connection/websocket`;
    const client = new Centrifuge(url, { token: key.secret, websocket: WebSocket });
    client.connect();
    const subscription = client.newSubscription("echo:one");
    subscription.subscribe();
    await subscription.ready();
    expect(await client.rpc("echo:one/say", { hello: 1 })).toEqual({ data: { hello: 1 } });
    await expect(client.rpc("echo:one/shout", {})).rejects.toMatchObject({ code: 108 });
    client.disconnect();
  });

  test("13.2: its owner may refuse a join, in each wire protocol; the client does not try again", async () => {
    const refusals: unknown[] = [];
    let closed = 0;
    const channel = phoenix.channel("echo:is_closed", {});
    channel.onClose(() => void closed++);
    channel.join().receive("error", (refusal: unknown) => refusals.push(refusal));
    await eventually(() => closed === 1);
    expect(refusals).toEqual([{ code: "channel_forbidden", reason: "it is closed", retry: "never" }]);
    const socket = await Socket.open(served.url, key.secret);
    expect(await socket.sub("echo:is_closed")).toBe("channel_forbidden");
    await socket.close();
  });

  test("13.1: what the kind does not take, or nobody answers, is refused; the connection goes on", async () => {
    const socket = await Socket.open(served.url, key.secret);
    const command = (cmd: string, data: unknown = {}) => socket.command({ op: "cmd", ch: "echo:two", cmd, data });
    expect((await command("say")).err?.code).toBe("frame_invalid"); // not subscribed
    expect(await socket.sub("echo:two")).toBe("ok");
    expect((await command("say", [1])).ok).toEqual({ data: [1] });
    expect((await command("shout")).err?.code).toBe("frame_invalid");
    expect((await command("Say.*")).err?.code).toBe("frame_invalid");
    expect((await command("nonsense")).err?.code).toBe("internal");
    expect((await command("silence")).err?.code).toBe("dependency_unavailable");
    expect((await command("say", "again")).ok).toEqual({ data: "again" });
    await socket.close();
  }, 20_000);

  test("13.3: its events are those of its topics, live and from the record", async () => {
    const socket = await Socket.open(served.url, key.secret);
    expect(await socket.sub("echo:three")).toBe("ok");
    const topic = TOPICS.intent(key.backendId, undefined, "three").replace("rt.intent.", "rt.echo.");
    await world.append(topic, intentEvent(topic, newId("int"), 1));
    await eventually(() => socket.numbers("echo:three").length === 1);
    const other = await createKey(world, "backend");
    const stranger = await Socket.open(served.url, other.secret);
    expect(await stranger.sub("echo:three", { from: "start" })).toBe("ok"); // its own `three`
    const again = await Socket.open(served.url, key.secret);
    expect(await again.sub("echo:three", { from: "start" })).toBe("ok");
    await eventually(() => again.numbers("echo:three").length === 1);
    expect(stranger.numbers("echo:three")).toEqual([]);
    for (const each of [socket, stranger, again]) await each.close();
  });

  test("13.4: is closed to roles without rights in it, and to names that are no topic's", async () => {
    const operator = await createKey(world, "operator");
    const sockets = [
      await Socket.open(served.url, operator.secret),
      await Socket.open(served.url, token(world, { sub: newId("nod"), role: "node" })),
    ];
    for (const socket of sockets) expect(await socket.sub("echo:one")).toBe("channel_forbidden");
    const buyer = await Socket.open(
      served.url,
      token(world, { sub: "7", role: "buyer", backend: key.backendId, channels: ["echo:one"] }),
    );
    expect(await buyer.sub("echo:one")).toBe("ok");
    expect(asked.at(-1)).toEqual({ channel: "echo:one", role: "buyer", backend_id: key.backendId, buyer_id: "7" });
    expect(await buyer.sub("echo:two")).toBe("channel_forbidden");
    const backend = await Socket.open(served.url, key.secret);
    for (const name of ["echo:a.b", "echo:a:b"]) expect(await backend.sub(name)).toBe("channel_forbidden");
    for (const socket of [...sockets, buyer, backend]) await socket.close();
  });
});

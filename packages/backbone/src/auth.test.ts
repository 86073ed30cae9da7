import { headers } from "@nats-io/transport-node";
import { newId, systemClock } from "@outcry/protocol";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { mintNodeUser, replyAllowed } from "./auth.js";
import type { Backbone } from "./connect.js";
import { startGuarded } from "./guarded.fixture.js";
import type { Guarded } from "./guarded.fixture.js";
import { newKeyPair } from "./jwt.js";
import { bytes, eventually, sleep } from "./nats-server.fixture.js";
import { streamHead } from "./read.js";
import { ensureStreams } from "./streams.js";

const clock = systemClock;
let guarded: Guarded;
let service: Backbone;
let replies: Backbone;

beforeAll(async () => {
  guarded = await startGuarded();
  service = await guarded.as("service");
  replies = await guarded.as("replies");
  await ensureStreams(service, { replicas: 1, region: "local" });
});
afterAll(() => guarded.stop());

describe("a node's permissions", () => {
  test("let it ack, quote, ask and hear in its own name", async () => {
    const a = await guarded.node();
    const heard: string[] = [];
    const subscription = service.subscribe("ucp.v1.>", (message) => {
      heard.push(message.subject);
      if (replyAllowed(a.id, message.reply)) replies.publish(message.reply, bytes("stored"));
    });
    await service.flush();
    for (const subject of [`ucp.v1.ack.${a.id}.int_1`, `ucp.v1.hb.${a.id}`, `ucp.v1.catchup.${a.id}`])
      a.nc.publish(subject, "x");
    expect((await a.nc.request(`ucp.v1.quote.${a.id}.int_1`, "q", { timeout: 2_000 })).string()).toBe("stored");
    const inbound: string[] = [];
    a.nc.subscribe(`ucp.v1.node.${a.id}.*`, { callback: (_, message) => void inbound.push(message.subject) });
    await a.nc.flush();
    service.publish(`ucp.v1.node.${a.id}.intent`, bytes("i"));
    await eventually(() => inbound.length === 1 && heard.length === 5);
    expect(a.refused).toEqual([]);
    subscription.close();
  });

  test("refuse it every other publish", async () => {
    const [a, b] = [await guarded.node(), newId("nod")];
    const reached: string[] = [];
    const subscription = service.subscribe(">", (message) => void reached.push(message.subject));
    await service.flush();
    const forbidden = [
      `ucp.v1.ack.${b}.int_1`,
      `ucp.v1.quote.${b}.int_1`,
      `ucp.v1.hb.${b}`,
      `ucp.v1.catchup.${b}`,
      `ucp.v1.ack.${a.id}`,
      `ucp.v1.ack.${a.id}.int_1.more`,
      `ucp.v1.node.${b}.intent`,
      `ucp.v1.node.${a.id}.intent`,
      "ucp.v1.intent.int_1",
      "ucp.v1.intent.int_1.end",
      `quotes.int_1.${a.id}.quo_1`,
      `dead.int_1.${a.id}`,
      "rt.intent.x.-.int_1",
      "live.local.rt.intent.x.-.int_1",
      "$KV.nodes.x",
      "$KV.access.x",
      "$JS.API.INFO",
      "$JS.API.STREAM.NAMES",
      "$JS.API.STREAM.INFO.EVENTS",
      "$JS.API.STREAM.PURGE.INTENTS",
      "$JS.API.STREAM.DELETE.INTENTS",
      "$JS.API.DIRECT.GET.INTENTS",
      "$JS.API.DIRECT.GET.KV_access",
      "$JS.API.STREAM.MSG.GET.INTENTS",
      "$JS.API.CONSUMER.CREATE.INTENTS.x",
      "$JS.API.CONSUMER.MSG.NEXT.INTENTS.x",
      "$JS.ACK.INTENTS.x.1.1.1.1.1",
      "$JS.FC.x",
      "$SYS.REQ.CLAIMS.UPDATE",
      "$SYS.REQ.SERVER.PING.VARZ",
      "$SYS.REQ.USER.INFO",
      `_INBOX.${b}.x`,
      `_INBOX.${a.id}.x`,
      "_INBOX_svc.x",
      "_INBOX_gw.x",
      "anything",
    ];
    for (const subject of forbidden) a.nc.publish(subject, "forged");
    await a.nc.flush();
    await sleep(100);
    expect(reached).toEqual([]);
    expect(a.refused).toHaveLength(forbidden.length);
    subscription.close();
  });

  test("refuse it every other subscription, wildcards and queues included", async () => {
    const [a, b] = [await guarded.node(), newId("nod")];
    // `ucp.v1.node.<own>.>` is granted by `.*` (nats-server matches the wildcard as a token); all of it is the node's own.
    const forbidden = [
      `ucp.v1.node.${b}.*`,
      `ucp.v1.node.${b}.intent`,
      "ucp.v1.node.*.intent",
      "ucp.v1.node.*.*",
      `ucp.v1.node.${a.id}.*.x`,
      "ucp.v1.node.>",
      "ucp.>",
      ">",
      "*",
      "ucp.v1.intent.>",
      "ucp.v1.ack.>",
      `ucp.v1.ack.${a.id}.*`,
      "ucp.v1.quote.>",
      "quotes.>",
      "dead.>",
      "rt.>",
      "live.>",
      "live.local.rt.>",
      `_INBOX.${b}.>`,
      "_INBOX.>",
      "_INBOX.*.>",
      "_INBOX_svc.>",
      "_INBOX_rep.>",
      "_INBOX_gw.>",
      "$KV.>",
      "$JS.>",
      "$JS.API.>",
      "$JS.EVENT.>",
      "$SYS.>",
    ];
    for (const subject of forbidden) a.nc.subscribe(subject, { callback: () => undefined });
    for (const subject of ["ucp.v1.node.>", `ucp.v1.node.${b}.*`])
      a.nc.subscribe(subject, { queue: "q", callback: () => undefined });
    await a.nc.flush();
    await sleep(100);
    expect(a.refused.filter((line) => line.includes("Permissions Violation for Subscription"))).toHaveLength(
      forbidden.length + 2,
    );
  });

  test("cap its subscriptions and its payload", async () => {
    const a = await guarded.node();
    for (let count = 0; count < 40; count++)
      a.nc.subscribe(`ucp.v1.node.${a.id}.n${count}`, { callback: () => undefined });
    await a.nc.flush().catch(() => undefined);
    await eventually(() => a.refused.some((line) => /maximum subscriptions exceeded/i.test(line)));
    const b = await guarded.node();
    b.nc.info!.max_payload = 1e9; // the client would refuse it first
    b.nc.publish(`ucp.v1.ack.${b.id}.int_1`, new Uint8Array(100_000));
    await eventually(() => b.closed);
  });

  test("end with the JWT", async () => {
    const a = await guarded.node({ ttlMs: 1_500 });
    expect(a.closed).toBe(false);
    await eventually(() => a.closed, 5_000);
  });

  test("are of no use to somebody who has the JWT without the key", async () => {
    const key = newKeyPair("user");
    const { jwt } = mintNodeUser(guarded.tree, { clock }, { nodeId: newId("nod"), publicKey: key.publicKey });
    expect(await guarded.connects(jwt, newKeyPair("user"))).toBe(false);
  });

  test("cannot be minted for a name that is more than one token", () => {
    const { publicKey } = newKeyPair("user");
    for (const nodeId of ["*", ">", "a.b", "", "a b"])
      expect(() => mintNodeUser(guarded.tree, { clock }, { nodeId, publicKey })).toThrow("no safe token");
  });
});

describe("forged reply subjects and headers", () => {
  test("a reply subject outside the node's own inbox is not answered, and the answering user could not reach it", async () => {
    const [a, b] = [await guarded.node(), newId("nod")];
    const forged = [
      `ucp.v1.ack.${b}.int_1`,
      "ucp.v1.intent.int_1.end",
      `_INBOX.${b}.x`,
      "_INBOX.>",
      `_INBOX.${a.id}`,
      `_INBOX.${a.id}.`,
      `_INBOX.${a.id}.*`,
      `_INBOX.${a.id}.>`,
      `_INBOX.${a.id}x.y`,
      "_INBOX_svc.x",
      "$JS.API.STREAM.PURGE.INTENTS",
    ];
    const asked: (string | undefined)[] = [];
    const subscription = service.subscribe("ucp.v1.quote.*.*", (message) => void asked.push(message.reply));
    await service.flush();
    for (const reply of forged) a.nc.publish(`ucp.v1.quote.${a.id}.int_1`, "q", { reply });
    await a.nc.flush();
    await sleep(100);
    expect(asked.filter((reply) => replyAllowed(a.id, reply))).toEqual([]);
    subscription.close();

    const reached: string[] = [];
    const all = service.subscribe(">", (message) => void reached.push(message.subject));
    await service.flush();
    for (const subject of ["ucp.v1.intent.int_1.end", `ucp.v1.ack.${b}.int_1`, "_INBOX_svc.x", "$JS.API.INFO"])
      replies.publish(subject, bytes("x"));
    await replies.flush();
    await sleep(100);
    expect(reached).toEqual([]);
    expect((await streamHead(service, "INTENTS")).lastSeq).toBe(0);
    all.close();
  });

  test("a trace aimed at a captured subject or at another node gains nothing", async () => {
    const [a, b] = [await guarded.node(), newId("nod")];
    const reached: string[] = [];
    const subscription = service.subscribe(">", (message) => void reached.push(message.subject));
    await service.flush();
    for (const target of [
      "ucp.v1.intent.int_9.end",
      `ucp.v1.ack.${b}.int_1`,
      `rt.intent.x.-.int_1`,
      `ucp.v1.node.${b}.intent`,
    ]) {
      const traced = headers();
      traced.set("Nats-Trace-Dest", target);
      a.nc.publish(`ucp.v1.ack.${a.id}.int_1`, "x", { headers: traced });
    }
    await a.nc.flush();
    await sleep(200);
    expect(reached).toEqual([]); // the message itself is refused with its trace
    expect(a.refused).toHaveLength(4);
    expect((await streamHead(service, "INTENTS")).lastSeq).toBe(0);
    subscription.close();
  });

  test("message ids, expectations and batches of a node reach no stream", async () => {
    const a = await guarded.node();
    const before = await Promise.all(
      ["INTENTS", "EVENTS", "QUOTES"].map(async (stream) => (await streamHead(service, stream)).lastSeq),
    );
    for (const [name, value] of [
      ["Nats-Msg-Id", "stolen"],
      ["Nats-Batch-Id", "b"],
      ["Nats-Rollup", "all"],
      ["Nats-Expected-Last-Sequence", "0"],
    ] as const) {
      const steering = headers();
      steering.set(name, value);
      if (name === "Nats-Batch-Id") steering.set("Nats-Batch-Sequence", "1");
      a.nc.publish(`ucp.v1.quote.${a.id}.int_1`, "x", { headers: steering });
    }
    await a.nc.flush();
    const after = await Promise.all(
      ["INTENTS", "EVENTS", "QUOTES"].map(async (stream) => (await streamHead(service, stream)).lastSeq),
    );
    expect(after).toEqual(before);
  });
});

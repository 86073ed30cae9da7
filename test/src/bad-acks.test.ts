// Acks that no node should send, on real servers: each is refused with its code and changes nothing; none is ever answered.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type AcksView, buildAck, canonicalize, type EventData, STREAMS, SUBJECTS } from "@outcry/protocol";
import type { Backend } from "./api-calls.js";
import { eventually, type Market, startMarket } from "./in-process.js";
import { connectRaw, type HeardIntent, type RawNode } from "./raw-node.js";

let market: Market;
let backend: Backend;
let node: RawNode;
let other: RawNode;

beforeAll(async () => {
  market = await startMarket();
  backend = await market.backend();
  [node, other] = [await connectRaw(market), await connectRaw(market)];
});
afterAll(() => market.stop());

describe("an ack", () => {
  const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const ackWith = (change: object) => (heard: HeardIntent) =>
    text({ ...buildAck(heard.digest, 1, "accepted"), ...change });
  const stateAt = async (id: string, who = node.id) => {
    const { body: acks } = await backend.call<AcksView>("GET", `/v1/intents/${id}/acks`);
    return acks.acks.find(({ node_id }) => node_id === who)!.status;
  };
  const refusals = (code: string) => market.counts[`ackRefused ${code}`] ?? 0;

  const wrong: [what: string, code: string, ack: (heard: HeardIntent) => Uint8Array][] = [
    ["of nothing", "json_syntax", () => new Uint8Array(0)],
    ["that is no JSON", "json_syntax", () => new TextEncoder().encode("+OK")],
    ["in no UTF-8", "json_invalid_utf8", () => Uint8Array.of(0xff, 0xfe)],
    [
      "with a key twice",
      "json_duplicate_key",
      () => new TextEncoder().encode('{"status":"declined","status":"accepted"}'),
    ],
    ["of depth 100", "json_too_deep", () => new TextEncoder().encode("[".repeat(100))],
    ["of 2 kB", "json_too_large", ackWith({ note: "x".repeat(2_000) })],
    ["of 60 kB", "json_too_large", () => new Uint8Array(60_000)],
    ["that is null", "version_unknown", () => text(null)],
    ["that is a list", "version_unknown", () => text([])],
    ["of another version", "version_unknown", ackWith({ version: "2020-01-01" })],
    ["of another protocol", "version_unknown", ackWith({ protocol: { toString: 1 } })],
    ["without a status", "validation_failed", ackWith({ status: undefined })],
    ["with a status of its own", "validation_failed", ackWith({ status: "quoted" })],
    ["with a reason of its own", "validation_failed", ackWith({ status: "declined", reason: "mood" })],
    ["for attempt 0", "validation_failed", ackWith({ attempt: 0 })],
    ["for attempt 16", "validation_failed", ackWith({ attempt: 16 })],
    ["for attempt 1.5", "validation_failed", ackWith({ attempt: 1.5 })],
    ["with a digest of no form", "validation_failed", ackWith({ request_digest: "sha256:x" })],
    ["of other bytes", "ack_digest_mismatch", ackWith({ request_digest: `sha256:${"A".repeat(43)}` })],
  ];

  test.each(wrong)("%s is refused: %s", async (_what, code, ack) => {
    const id = await backend.broadcast({ routing: { targets: [node.id] } });
    const heard = await node.hears(id);
    const before = refusals(code);
    node.publish(SUBJECTS.ack(node.id, id), ack(heard));
    await eventually(() => refusals(code) === before + 1);
    expect(await stateAt(id)).toBe("pending");
  });

  test("for an intent that nobody posted, that was not sent to the node, or that is no intent's id is refused", async () => {
    const id = await backend.broadcast({ routing: { targets: [other.id] } });
    const heard = await other.hears(id);
    const bytes = canonicalize(buildAck(heard.digest, 1, "accepted"));
    const before = [refusals("ack_not_target"), refusals("ack_intent_unknown")];
    node.publish(SUBJECTS.ack(node.id, id), bytes);
    for (const unknown of ["int_01h455vb4pex5vsknk084sn02q", "int_x", "*", ">", "end"])
      node.publish(`ucp.v1.ack.${node.id}.${unknown}`, bytes);
    await eventually(
      () => refusals("ack_not_target") === before[0]! + 1 && refusals("ack_intent_unknown") === before[1]! + 5,
    );
    expect(await stateAt(id, other.id)).toBe("pending");
  });

  test("in another node's name is refused by NATS and changes nothing", async () => {
    const id = await backend.broadcast({ routing: { targets: [node.id, other.id] } });
    const heard = await other.hears(id);
    const before = node.refused.length;
    node.publish(SUBJECTS.ack(other.id, id), canonicalize(buildAck(heard.digest, 1, "declined")));
    await eventually(() => node.refused.length === before + 1);
    expect(node.refused.at(-1)).toContain("Permissions Violation for Publish");
    other.ack(heard);
    await eventually(async () => (await stateAt(id, other.id)) === "acked");
    expect(await stateAt(id)).toBe("pending");
  });

  test("said a thousand times, and taken back as often, is told once for each thing it says", async () => {
    const id = await backend.broadcast({ routing: { targets: [node.id, other.id] } });
    const heard = await node.hears(id);
    for (let times = 0; times < 1_000; times++) {
      node.ack(heard, times % 2 === 0 ? "accepted" : "declined");
      if (times % 100 === 0) await node.nats.flush();
    }
    await node.nats.flush();
    await eventually(async () => (await stateAt(id)) === "declined");
    await eventually(async () => Object.keys(await market.backlog()).length === 0);
    const told = (await market.eventsOf(id)).flatMap(({ type, data }) =>
      type === "NODE_RESPONDED" ? (data as EventData<"NODE_RESPONDED">).responses : [],
    );
    expect(told.map(({ node_id, status }) => [node_id, status])).toEqual([
      [node.id, "accepted"],
      [node.id, "declined"],
    ]);
  });

  test("that asks for an answer gets none", async () => {
    const id = await backend.broadcast({ routing: { targets: [node.id] } });
    const heard = await node.hears(id);
    const ack = canonicalize(buildAck(heard.digest, 1, "accepted"));
    await expect(node.nats.request(SUBJECTS.ack(node.id, id), ack, { timeout: 300 })).rejects.toThrow(/timeout/i);
    expect(await stateAt(id)).toBe("acked");
  });
});

test("nothing of all this is stuck, set aside or logged as an error", async () => {
  await eventually(async () => Object.keys(await market.backlog()).length === 0);
  expect(await market.stored(STREAMS.deadLetters)).toEqual([]);
  expect(market.logs.filter(({ level }) => level === "error")).toEqual([]);
});

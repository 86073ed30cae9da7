// What a node's credentials are good for with the services running: its own subjects and nothing else. Whatever it forges – reply
// subjects, headers, names – the record, the other nodes and the other marketplaces stay as they are.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { buildAck, canonicalize, parseTopic, STREAMS, SUBJECTS } from "@outcry/protocol";
import { anIntent, type Backend } from "./api-calls.js";
import { type ForeignSubjects, foreignSubjects } from "./foreign-subjects.js";
import { eventually, type Market, startMarket } from "./in-process.js";
import { connectRaw, type HeardIntent, type RawNode } from "./raw-node.js";

let market: Market;
let backend: Backend;
let a: RawNode;
let b: RawNode;
let heard: HeardIntent;
let id: string;
let foreign: ForeignSubjects;

beforeAll(async () => {
  market = await startMarket();
  backend = await market.backend();
  [a, b] = [await connectRaw(market), await connectRaw(market)];
  const silent = await connectRaw(market); // keeps the intent open
  id = await backend.broadcast({ routing: { targets: [a.id, b.id, silent.id] }, quotes_per_node_max: 16 });
  heard = await a.hears(id);
  foreign = foreignSubjects(a.id, b.id, id);
  await settled();
});
afterAll(() => market.stop());

/** Everything that is recorded anywhere: how many messages each stream has ever taken. */
async function record(): Promise<Record<string, number>> {
  const heads: Record<string, number> = {};
  for await (const { config, state } of market.manager.streams.list()) heads[config.name] = state.last_seq;
  return heads;
}

const settled = async (): Promise<void> => {
  await eventually(async () => Object.keys(await market.backlog()).length === 0);
  await eventually(async () => (await market.eventsOf(id)).some(({ type }) => type === "INTENT_BROADCASTED"));
};

/** Does it, lets everything that could follow happen, and returns what the server refused meanwhile. */
async function refusedWhile(node: RawNode, work: () => unknown): Promise<string[]> {
  const before = node.refused.length;
  await work();
  await node.nats.flush();
  await new Promise((resolve) => setTimeout(resolve, 150));
  return node.refused.slice(before);
}

const stateOf = async (nodeId: string) => {
  const { body } = await backend.call<{ acks: { node_id: string; status: string }[] }>("GET", `/v1/intents/${id}/acks`);
  return body.acks.find(({ node_id }) => node_id === nodeId)!.status;
};

describe("publishing", () => {
  test("is refused everywhere outside the node's own subjects, and reaches no one and no stream", async () => {
    const subjects = foreign.publishes;
    const [before, heardBefore] = [await record(), b.heard.length];
    const refused = await refusedWhile(a, () => {
      for (const subject of subjects) a.publish(subject, "forged", { reply: `_INBOX.${a.id}.x` });
    });
    for (const subject of subjects)
      expect(refused.filter((line) => line.includes(`"${subject}"`)).length).toBeGreaterThan(0);
    expect(refused).toHaveLength(subjects.length);
    expect(await record()).toEqual(before);
    expect(b.heard).toHaveLength(heardBefore);
    expect(await stateOf(b.id)).toBe("pending");
  });
});

describe("subscribing", () => {
  test("is refused to everything but the node's own subjects and inbox, with and without a queue", async () => {
    const subjects = foreign.subscriptions;
    const received: string[] = [];
    const callback = (error: Error | null, message: { subject: string }) =>
      void (error ?? received.push(message.subject));
    // Two at a time: a node may hold 16 subscriptions.
    for (const subject of subjects) {
      const made = [
        a.nats.subscribe(subject, { callback }),
        a.nats.subscribe(subject, { callback, queue: "collectors" }),
      ];
      const refused = await refusedSubscriptions(subject);
      expect([subject, refused]).toEqual([subject, 2]);
      for (const subscription of made) subscription.unsubscribe();
    }
    const quote = b.quote(await b.hears(id), { amountMinor: 500 }, undefined, 15);
    expect(await b.ask(id, quote)).toMatchObject({ kind: "stored" }); // traffic of every kind
    await market.quotesOf(backend, id, 1);
    expect(received).toEqual([]);
  });

  async function refusedSubscriptions(subject: string): Promise<number> {
    const lines = () =>
      a.refused.filter((line) => line.includes("Subscription") && line.includes(`"${subject}"`)).length;
    await eventually(() => lines() >= 2);
    return lines();
  }
});

describe("a forged reply subject", () => {
  test("of a quote request gains nothing: no answer leaves, nothing is recorded, no node seems to speak", async () => {
    const forged = foreign.replies;
    const { bytes, signature } = a.quote(heard);
    const [before, heardBefore, told] = [await record(), b.heard.length, market.counts["answered forged_reply"] ?? 0];
    const inbox: string[] = [];
    b.nats.subscribe(`_INBOX.${b.id}.>`, { callback: (_, message) => void inbox.push(message.subject) });
    const refused = await refusedWhile(a, () => {
      for (const reply of forged)
        a.publish(SUBJECTS.nodeQuote(a.id, id), bytes, { reply, headers: { "Outcry-Signature": signature } });
      a.publish(SUBJECTS.nodeQuote(a.id, id), bytes, { headers: { "Outcry-Signature": signature } }); // none at all
    });
    // What the server itself refuses never arrives; the service answers nothing of the rest.
    expect((market.counts["answered forged_reply"] ?? 0) - told + refused.length).toBe(forged.length + 1);
    expect(await record()).toEqual(before);
    expect([b.heard.length, inbox]).toEqual([heardBefore, []]);
    expect([await stateOf(a.id), await stateOf(b.id)]).toEqual(["pending", "quoted"]);
  });

  test("of an ack, a heartbeat or a catch-up gains as little", async () => {
    const ack = canonicalize(buildAck(heard.digest, 1, "accepted"));
    const reply = `ucp.v1.intent.${id}.end`;
    const before = await record();
    await refusedWhile(a, () => {
      for (const subject of [`ucp.v1.hb.${a.id}`, `ucp.v1.catchup.${a.id}`]) a.publish(subject, ack, { reply });
      a.publish(SUBJECTS.ack(a.id, "int_01h455vb4pex5vsknk084sn02q"), ack, { reply });
    });
    expect(await record()).toEqual(before);
  });
});

describe("headers that steer the server", () => {
  const steering: Record<string, string>[] = [
    { "Nats-Msg-Id": "stolen" },
    { "Nats-Expected-Stream": "INTENTS" },
    { "Nats-Expected-Last-Sequence": "0" },
    { "Nats-Expected-Last-Subject-Sequence": "7" },
    { "Nats-Expected-Last-Msg-Id": "x" },
    { "Nats-Rollup": "all" },
    { "Nats-TTL": "1s" },
    { "Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1", "Nats-Batch-Commit": "1" },
    { "Nats-Incr": "+1" },
    { "Nats-Schedule": "@at 2030-01-01T00:00:00Z", "Nats-Schedule-Target": "ucp.v1.intent.x.end" },
  ];

  test("change nothing about a quote: it is stored as it is, without them", async () => {
    for (const [nth, headers] of steering.entries()) {
      const { bytes, signature } = a.quote(heard, { amountMinor: 100 + nth }, undefined, nth);
      const fields = { ...headers, "Outcry-Signature": signature, traceparent: "x".repeat(100) };
      const before = await record();
      const answers: string[] = [];
      const reply = `_INBOX.${a.id}.s${nth}`;
      const inbox = a.nats.subscribe(reply, { callback: (_, message) => void answers.push(message.string()) });
      a.publish(SUBJECTS.nodeQuote(a.id, id), bytes, { headers: fields, reply });
      await eventually(() => answers.length === 1);
      inbox.unsubscribe();
      expect(JSON.parse(answers[0]!)).toMatchObject({ kind: "stored" });
      expect((await record())[STREAMS.quotes]).toBe(before[STREAMS.quotes]! + 1);
      const stored = (await market.stored(STREAMS.quotes)).at(-1)!;
      const kept = Object.keys(stored.headers.fields()).filter(
        (name) =>
          !/^Nats-(Stream|Subject|Sequence|Time-Stamp|Num-Pending|Last-Sequence|Expected-Last-Subject-Sequence|UpTo-Sequence)$/.test(
            name,
          ),
      );
      expect(kept).toEqual(["Outcry-Signature"]);
    }
    expect((await market.quotesOf(backend, id, 11)).quotes).toHaveLength(11);
  });

  test("send no trace anywhere a node may not publish", async () => {
    const targets = [
      `ucp.v1.intent.${id}.end`,
      `ucp.v1.ack.${b.id}.${id}`,
      `ucp.v1.node.${b.id}.intent`,
      `quotes.${id}.${b.id}.x`,
      "rt.x.-.-.y",
      `_INBOX.${b.id}.x`,
      "$JS.API.STREAM.PURGE.INTENTS",
    ];
    const ack = canonicalize(buildAck(heard.digest, 1, "accepted"));
    const [before, heardBefore] = [await record(), b.heard.length];
    const refused = await refusedWhile(a, () => {
      for (const target of targets) a.publish(SUBJECTS.ack(a.id, id), ack, { headers: { "Nats-Trace-Dest": target } });
    });
    expect(refused).toHaveLength(targets.length);
    expect(await record()).toEqual(before);
    expect(b.heard).toHaveLength(heardBefore);
  });
});

describe("two marketplaces with a buyer of the same name", () => {
  test("have different topics, and neither finds the other's events under its own", async () => {
    const other = await market.backend("another");
    const request = { ...anIntent, buyer_id: "buyer-42", routing: { targets: [a.id] } };
    const [mine, theirs] = [await backend.broadcast(request), await other.broadcast(request)];
    await a.hears(mine);
    await a.hears(theirs);
    const topicOf = async (intent: string) =>
      parseTopic((await eventually(async () => (await market.eventsOf(intent))[0])).topic)!;
    const [first, second] = [await topicOf(mine), await topicOf(theirs)];
    expect(first.backend).not.toBe(second.backend);
    expect(first.buyer).not.toBe(second.buyer);
    for (const { backend: backendToken, buyer } of [first, second]) {
      expect(`${backendToken}${buyer}`).not.toContain("buyer"); // tokens, never the raw name
      const subjects = (await market.stored(STREAMS.events, `rt.*.*.${buyer}.>`)).map(({ subject }) => subject);
      expect(new Set(subjects.map((subject) => subject.split(".")[2]))).toEqual(new Set([backendToken]));
    }
  });
});

describe("a node that is deleted", () => {
  test("is cut off at once, gets no credentials any more, and cannot answer what it heard", async () => {
    const gone = await connectRaw(market);
    const last = await backend.broadcast({ routing: { targets: [gone.id] } });
    const quote = gone.quote(await gone.hears(last));
    const closed = gone.nats.closed();
    expect((await market.admin("DELETE", `/v1/nodes/${gone.id}`)).status).toBe(204);
    const asked = Date.now();
    await closed;
    expect(Date.now() - asked).toBeLessThan(1_000);
    const challenge = await market.as(undefined)("POST", `/v1/nodes/${gone.id}/credentials/challenge`);
    expect([challenge.status, challenge.body.code]).toEqual([404, "node_not_found"]);
    // Its signed bytes under another node's credentials are that node's word, and not accepted as such.
    expect(await a.ask(last, quote)).toMatchObject({ kind: "refused", code: "quote_subject_mismatch" });
    const again = await backend.post({ ...anIntent, routing: { targets: [gone.id] } });
    expect(again.body.code).toBe("no_eligible_nodes");
  });
});

test("nothing of all this is stuck, set aside or logged as an error", async () => {
  await eventually(async () => Object.keys(await market.backlog()).length === 0);
  expect(await market.stored(STREAMS.deadLetters)).toEqual([]);
  expect(market.logs.filter(({ level }) => level === "error")).toEqual([]);
});

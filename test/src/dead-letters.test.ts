// A node that never answers, on real servers: the same bytes again up to the threshold, then its dead letter, and what the operator reads of it.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  type AcksView,
  type DeadLetter,
  type DeadLetterDetail,
  digestOf,
  type Event,
  type EventData,
  type LetterGroups,
  LIMITS,
  parseDeadLetter,
  PROTOCOL_VERSION,
  STREAMS,
} from "@outcry/protocol";
import type { Backend, Call } from "./api-calls.js";
import { eventually, inMs, type Market, startMarket } from "./in-process.js";
import { connectRaw, type RawNode } from "./raw-node.js";

const ATTEMPTS = 3;

interface Page {
  data: DeadLetter[];
  has_more: boolean;
  next_cursor?: string;
}

let market: Market;
let backend: Backend;
let operator: Call;
let silent: RawNode;
let prompt: RawNode;

beforeAll(async () => {
  market = await startMarket({ ackTimeoutMs: 60, attemptsMax: ATTEMPTS });
  backend = await market.backend();
  operator = await market.operator();
  [silent, prompt] = [await connectRaw(market), await connectRaw(market)];
});
afterAll(() => market.stop());

const stateOf = async (id: string, node: RawNode) => {
  const { body } = await backend.call<AcksView>("GET", `/v1/intents/${id}/acks`);
  return body.acks.find(({ node_id }) => node_id === node.id)!;
};
const lettersOf = async (id: string) => {
  const { body } = await operator<Page>("GET", "/v1/dead-letters?limit=200");
  return body.data.filter(({ intent_id }) => intent_id === id);
};

describe("a silent node", () => {
  test("gets the same bytes at each attempt, then a dead letter; the one that answered gets them once", async () => {
    const id = await backend.broadcast({ routing: { targets: [silent.id, prompt.id] } });
    prompt.ack(await prompt.hears(id));
    await eventually(async () => (await stateOf(id, silent)).status === "dead");
    expect(await stateOf(id, silent)).toMatchObject({ attempts: ATTEMPTS, reason: "ack_timeout" });
    expect(await stateOf(id, prompt)).toMatchObject({ attempts: 1, status: "acked" });

    const deliveries = silent.heardOf("intent", id);
    expect(deliveries.map(({ headers }) => headers["Outcry-Attempt"])).toEqual(["1", "2", "3"]);
    expect(new Set(deliveries.map(({ data, headers }) => digestOf(data) + headers["Outcry-Signature"])).size).toBe(1);
    const left = deliveries.map(({ headers }) => Number(headers["Outcry-Time-Left-Ms"]));
    expect(left).toEqual(left.toSorted((one, other) => other - one));
    expect(prompt.heardOf("intent", id)).toHaveLength(1);

    const events = await market.eventsOf(id);
    const about = (type: Event["type"]) => events.filter((event) => event.type === type).map(({ data }) => data);
    expect(about("DELIVERY_RETRYING")).toMatchObject([2, 3].map((attempt) => ({ attempt, node_ids: [silent.id] })));
    const dead = { intent_id: id, node_ids: [silent.id], attempts: ATTEMPTS, cause: "ack_timeout" };
    expect(about("DELIVERY_DEAD_LETTERED")).toEqual([dead]);
    expect(await lettersOf(id)).toEqual([
      {
        id: `dead.${id}.${silent.id}`,
        kind: "delivery",
        intent_id: id,
        node_id: silent.id,
        cause: "ack_timeout",
        attempts: ATTEMPTS,
        status: "open",
        digest: digestOf(deliveries[0]!.data),
        version: PROTOCOL_VERSION,
        time: expect.any(String),
      },
    ]);
  });

  test("may still answer until the end, and its answer counts", async () => {
    const id = await backend.broadcast({ routing: { targets: [silent.id, prompt.id] } });
    prompt.ack(await prompt.hears(id));
    await eventually(async () => (await stateOf(id, silent)).status === "dead");
    const heard = await silent.hears(id);
    silent.ack(heard);
    await eventually(async () => (await stateOf(id, silent)).status === "acked");
    expect(await silent.ask(id, silent.quote(heard))).toMatchObject({ kind: "stored" });
    await eventually(async () => (await stateOf(id, silent)).status === "quoted");
    expect((await market.quotesOf(backend, id, 1)).quotes.map(({ node_id }) => node_id)).toEqual([silent.id]);
    expect(await lettersOf(id)).toMatchObject([{ status: "recovered" }]);
    await backend.call("POST", `/v1/intents/${id}/close`);
    await market.ended(backend, id);
    const recovered = (await market.eventsOf(id)).filter(({ type }) => type === "DELIVERY_RECOVERED");
    expect(recovered.map(({ data }) => data)).toEqual([
      { intent_id: id, node_ids: [silent.id], by: "ack", attempts: ATTEMPTS },
    ]);
  });

  test("closes its intent when nobody else is awaited", async () => {
    const id = await backend.broadcast({ routing: { targets: [silent.id] } });
    expect(await market.ended(backend, id)).toBe("closed");
    const end = (await market.eventsOf(id)).at(-1)!.data as EventData<"INTENT_CLOSED">;
    expect(end.counts).toMatchObject({ dead: 1, pending: 0 });
  });
});

describe("right behind an outage", () => {
  test("an attempt is repeated at growing distances, not counted; then as ever", async () => {
    await market.brokers.redis.kill9();
    await market.brokers.redis.restart();
    const backMs = Date.now();
    const id = await backend.broadcast({ routing: { targets: [silent.id] } });
    expect(await market.ended(backend, id)).toBe("closed");
    const events = await market.eventsOf(id);
    const retried = events.find(({ type }) => type === "DELIVERY_RETRYING")!;
    expect(Date.parse(retried.time) - backMs).toBeGreaterThan(LIMITS.outageGraceMs - 1_000);
    expect(events.at(-1)!.data).toMatchObject({ counts: { dead: 1, pending: 0 } });

    const attempts = silent.heardOf("intent", id).map(({ headers }) => headers["Outcry-Attempt"]);
    expect(attempts.slice(-2)).toEqual(["2", "3"]);
    expect(new Set(attempts.slice(0, -2))).toEqual(new Set(["1"]));
    expect(attempts.length).toBeGreaterThan(4); // 60 ms doubled until 5 s is seven repeats
    expect(attempts.length).toBeLessThan(13);
  }, 20_000);
});

describe("GET /v1/dead-letters", () => {
  test("pages from the newest to the oldest, each once", async () => {
    const ids = await Promise.all(
      Array.from({ length: 7 }, () => backend.broadcast({ routing: { targets: [silent.id] } })),
    );
    await Promise.all(ids.map((id) => market.ended(backend, id)));
    const stored = (await market.stored(STREAMS.deadLetters)).map(({ subject }) => subject);
    const all = stored.filter((subject) => parseDeadLetter(subject) !== undefined).toReversed();
    const paged: string[] = [];
    let cursor: string | undefined;
    do {
      const { body } = await operator<Page>(
        "GET",
        `/v1/dead-letters?limit=3${cursor === undefined ? "" : `&cursor=${cursor}`}`,
      );
      paged.push(...body.data.map(({ id }) => id));
      expect(body.has_more).toBe(body.next_cursor !== undefined);
      cursor = body.next_cursor;
    } while (cursor !== undefined);
    expect(paged).toEqual(all);
  });

  test("answers a cursor of nobody's making at once", async () => {
    const beyond = Buffer.from(String(Number.MAX_SAFE_INTEGER)).toString("base64url");
    const newest = (await operator<Page>("GET", "/v1/dead-letters?limit=1")).body.data;
    expect((await operator<Page>("GET", `/v1/dead-letters?limit=1&cursor=${beyond}`)).body.data).toEqual(newest);
    for (const cursor of ["MA", "LTE", "MWUz", "!", "aGVsbG8", "x".repeat(33)]) {
      const { status, body } = await operator("GET", `/v1/dead-letters?cursor=${cursor}`);
      expect([cursor, status, body.code]).toEqual([cursor, 400, "request_invalid"]);
    }
  });

  test("takes filters, which all must fit", async () => {
    const other = await connectRaw(market);
    const sinceMs = Date.now();
    const mine = await backend.broadcast({ routing: { targets: [silent.id, prompt.id] } });
    const theirs = await backend.broadcast({ routing: { targets: [other.id] } });
    prompt.ack(await prompt.hears(mine));
    await eventually(
      async () => (await stateOf(mine, silent)).status === "dead" && (await lettersOf(mine)).length === 1,
    );
    await market.ended(backend, theirs);
    await eventually(async () => (await lettersOf(theirs)).length === 1);
    silent.ack(await silent.hears(mine));
    await eventually(async () => (await lettersOf(mine))[0]!.status === "recovered");

    const [since, now] = [new Date(sinceMs).toISOString(), inMs(0)];
    const found = async (query: string) => {
      const { body } = await operator<Page>("GET", `/v1/dead-letters?${query}`);
      return body.data.map(({ intent_id, node_id }) => `${intent_id} ${node_id}`).toSorted();
    };
    const [one, two] = [`${mine} ${silent.id}`, `${theirs} ${other.id}`];
    expect(await found(`intent_id=${mine}`)).toEqual([one]);
    expect(await found(`node_id=${other.id}`)).toEqual([two]);
    expect(await found(`node_id=${other.id}&intent_id=${mine}`)).toEqual([]);
    expect(await found(`since=${since}`)).toEqual([one, two].toSorted());
    expect(await found(`since=${since}&until=${now}&status=recovered`)).toEqual([one]);
    expect(await found(`since=${since}&status=open`)).toEqual([two]);
    expect(await found(`since=${since}&status=open&kind=delivery&cause=ack_timeout`)).toEqual([two]);
    expect(await found(`since=${since}&cause=another`)).toEqual([]);
    expect(await found(`since=${since}&kind=message`)).toEqual([]);
    expect(await found(`since=${since}&stream=INTENTS`)).toEqual([]);
    expect(await found(`since=${inMs(1_000)}`)).toEqual([]);
  });

  test("counts them by cause, node and version, with a sample to look at", async () => {
    const all = (await operator<Page>("GET", "/v1/dead-letters?limit=200")).body.data;
    const times = all.map(({ time }) => time).toSorted();
    const groups = async (query: string) =>
      (await operator<LetterGroups>("GET", `/v1/dead-letters/groups?${query}`)).body;
    const [first, last] = [times[0], times.at(-1)];
    expect(await groups("by=cause")).toMatchObject({
      by: "cause",
      has_more: false,
      data: [{ key: "ack_timeout", count: all.length, first, last, sample_id: all[0]!.id }],
    });
    expect((await groups("by=version")).data).toMatchObject([{ key: PROTOCOL_VERSION, count: all.length }]);
    const byNode = (await groups("by=node")).data;
    expect(byNode[0]).toMatchObject({ key: silent.id });
    expect(byNode.reduce((sum, { count }) => sum + count, 0)).toBe(all.length);
    expect((await groups(`by=node&node_id=${silent.id}`)).data).toHaveLength(1);
  });
});

describe("one dead letter", () => {
  test("shows its delivery's timeline, and stays discarded for the first reason given", async () => {
    const id = await backend.broadcast({ routing: { targets: [silent.id, prompt.id] } });
    prompt.ack(await prompt.hears(id));
    const letter = `dead.${id}.${silent.id}`;
    const path = `/v1/dead-letters/${letter}`;
    const read = async () => (await operator<DeadLetterDetail>("GET", path)).body;
    await eventually(async () => (await read()).id === letter);
    const { timeline, status } = await read();
    expect(status).toBe("open");
    expect(timeline!.map(({ event, attempt }) => [event, attempt])).toEqual([
      ["INTENT_CREATED", undefined],
      ["INTENT_BROADCASTED", 1],
      ["DELIVERY_RETRYING", 2],
      ["DELIVERY_RETRYING", 3],
      ["DELIVERY_DEAD_LETTERED", ATTEMPTS],
    ]);
    const discard = async (reason: string) =>
      (await market.admin<DeadLetterDetail>("POST", `${path}/discard`, { reason })).body;
    const first = await discard("the seller has closed");
    expect(first).toMatchObject({ status: "discarded", discarded: { reason: "the seller has closed" } });
    expect(await discard("another reason")).toEqual(first);

    silent.ack(await silent.hears(id)); // what was discarded may still answer: the truth is that it did
    await eventually(async () => (await read()).status === "recovered");
    expect(await read()).toMatchObject({ discarded: first.discarded, recovered: { by: "ack" } });
  });
});

describe("dead letters", () => {
  test("are for operators", async () => {
    expect((await backend.call("GET", "/v1/dead-letters")).body.code).toBe("permission_denied");
    expect((await market.as(undefined)("GET", "/v1/dead-letters")).body.code).toBe("credentials_missing");
  });
});

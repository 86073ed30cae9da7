// GET /v1/events on real servers: every own event once and in order, and an explicit answer where that cannot be kept.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { purgeBelow, streamHead } from "@outcry/backbone";
import { type Client, createClient } from "@outcry/client";
import { type Event, type EventPage, type Problem, STREAMS, TOPICS } from "@outcry/protocol";
import { CursorCodec, cursorKeys, cursorScope } from "@outcry/ws-gateway";
import type { Answer, Backend } from "./api-calls.js";
import { CURSOR_SECRET, eventually, type Market, startMarket } from "./in-process.js";
import { connectRaw, type RawNode } from "./raw-node.js";

let market: Market;
let backend: Backend;
let node: RawNode;
let keyClient: Client;

beforeAll(async () => {
  market = await startMarket();
  backend = await market.backend();
  node = await connectRaw(market);
  const key = { role: "backend", name: "client", backend_id: backend.id };
  const { secret } = (await market.admin<{ secret: string }>("POST", "/v1/api-keys", key)).body;
  keyClient = createClient({ url: market.url, apiKey: secret });
});
afterAll(() => market.stop());

const read = (query = "", owner = backend): Promise<Answer<EventPage & Omit<Problem, "status">>> =>
  owner.call("GET", `/v1/events?${query}`);
const idsOf = (events: readonly { id: string }[]) => events.map(({ id }) => id);

async function closedIntent(owner = backend): Promise<string> {
  const id = await owner.broadcast({ routing: { targets: [node.id] } });
  node.ack(await node.hears(id));
  await owner.call("POST", `/v1/intents/${id}/close`);
  await market.ended(owner, id);
  return id;
}

/** Ids as the record has them. */
async function recorded(owner = backend): Promise<string[]> {
  const stored = await market.stored(STREAMS.events, TOPICS.backend(owner.id));
  return stored.map(({ data }) => (JSON.parse(Buffer.from(data).toString()) as Event).id);
}

describe("the feed", () => {
  test("gives every own event once, oldest first, page by page; the last cursor is a head cursor", async () => {
    await Promise.all(Array.from({ length: 5 }, () => closedIntent()));
    const found: string[] = [];
    let page: EventPage | undefined;
    do {
      page = (await read(`limit=3${page === undefined ? "" : `&after=${page.next_cursor}`}`)).body;
      expect(page.data.length).toBeLessThanOrEqual(3);
      found.push(...idsOf(page.data));
    } while (page.has_more);
    expect(found).toEqual(await recorded());
    const { status, body } = await read(`after=${page.next_cursor}`);
    expect([status, body.data, body.has_more]).toEqual([200, [], false]);
    expect(body.next_cursor).toMatch(/^[\w-]{23}$/);
  });

  test("is the same place as the channel's: its cursor is that of `backend:<id>`", async () => {
    const { body } = await read("limit=1");
    const head = await streamHead(market.broadcast.platform.backbone, STREAMS.events);
    const scope = cursorScope(TOPICS.backend(backend.id), head.epoch!);
    const cursor = new CursorCodec(cursorKeys(CURSOR_SECRET)).read(scope, body.next_cursor);
    const [first] = await market.stored(STREAMS.events, TOPICS.backend(backend.id));
    expect(cursor).toMatchObject({ kind: "ok", position: { seq: first!.seq } });
  });

  test("waits for the next event, at most as long as asked", async () => {
    let { next_cursor: cursor } = (await read("limit=200")).body;
    const startedMs = Date.now();
    expect((await read(`after=${cursor}&wait_ms=300`)).body.data).toEqual([]);
    expect(Date.now() - startedMs).toBeGreaterThan(290);
    const waiting = read(`after=${cursor}&wait_ms=20000`);
    const id = await backend.broadcast({ routing: { targets: [node.id] } });
    const { data, next_cursor: next } = (await waiting).body;
    expect(data[0]).toMatchObject({ type: "INTENT_CREATED", data: { intent_id: id } });
    expect(Date.now() - startedMs).toBeLessThan(5_000);
    cursor = next;
    const filtered = read(`after=${cursor}&types=INTENT_CLOSED&wait_ms=20000`);
    await backend.call("POST", `/v1/intents/${id}/close`);
    expect((await filtered).body.data).toMatchObject([{ type: "INTENT_CLOSED", data: { intent_id: id } }]);
    expect((await read("wait_ms=30001")).body.code).toBe("request_invalid");
  });

  test("filters by type, and says which type it does not know", async () => {
    const all = (await read("limit=200")).body.data;
    const wanted = all.filter(({ type }) => type === "INTENT_CREATED" || type === "INTENT_CLOSED");
    const { data } = (await read("limit=200&types=INTENT_CREATED,INTENT_CLOSED")).body;
    expect(idsOf(data)).toEqual(idsOf(wanted));
    for (const types of ["NOTHING", "INTENT_CREATED,NOTHING", "", "__proto__"]) {
      const { status, body } = await read(`types=${types}`);
      expect([types, status, body.code, body.errors[0]?.pointer]).toEqual([types, 400, "request_invalid", "/types"]);
    }
  });

  test("is each backend's own, and so is its cursor", async () => {
    const stranger = await market.backend("another marketplace");
    expect((await read("", stranger)).body.data).toEqual([]);
    await closedIntent(stranger);
    const theirs = (await read("limit=200", stranger)).body;
    expect(idsOf(theirs.data)).toEqual(await recorded(stranger));
    expect(idsOf((await read("limit=200")).body.data)).not.toEqual(expect.arrayContaining([theirs.data[0]!.id]));
    const { status, body } = await read(`after=${theirs.next_cursor}`);
    expect([status, body.code]).toEqual([400, "cursor_invalid"]);
    for (const call of [market.admin, await market.operator()])
      expect((await call("GET", "/v1/events")).body.code).toBe("permission_denied");
  });

  test("refuses what is no cursor of it", async () => {
    for (const after of ["x", "A".repeat(23), "0".repeat(64)]) {
      const { status, body } = await read(`after=${after}`);
      expect([after, status, body.code, body.errors[0]?.pointer]).toEqual([after, 400, "cursor_invalid", "/after"]);
    }
  });

  test("misses nothing that is written while it is read", async () => {
    const start = (await read("limit=200")).body;
    expect(start.has_more).toBe(false);
    const before = (await recorded()).length;
    const work = Promise.all(Array.from({ length: 20 }, () => closedIntent()));
    const found: string[] = [];
    let cursor = start.next_cursor;
    let ended = false;
    const working = work.then(() => (ended = true));
    for (let last = false; !last;) {
      last = ended; // one more look behind the end
      for (let page: EventPage | undefined; page === undefined || page.has_more; cursor = page.next_cursor) {
        page = (await read(`limit=7&after=${cursor}&wait_ms=20`)).body;
        found.push(...idsOf(page.data));
      }
    }
    await working;
    expect(found).toEqual((await recorded()).slice(before));
    expect(found.length).toBeGreaterThanOrEqual(20 * 4);
  });
});

describe("events() of the client", () => {
  test("goes on where it stopped, each event once", async () => {
    const expected = await recorded();
    const found: string[] = [];
    let after: string | undefined;
    for (let run = 0; run < 3; run++) {
      for await (const { event, cursor } of keyClient.events({ ...(after === undefined ? {} : { after }), limit: 2 })) {
        found.push(event.id);
        after = cursor;
        if (found.length % 10 === 0 || found.length === expected.length) break;
      }
    }
    expect(found).toEqual(expected.slice(0, 30));

    const stop = new AbortController();
    const head = (await read(`limit=200&after=${after}`)).body.next_cursor;
    const heard: string[] = [];
    const listening = (async () => {
      for await (const { event } of keyClient.events({ after: head, types: ["INTENT_CLOSED"], signal: stop.signal }))
        heard.push(event.type);
    })();
    await closedIntent();
    await eventually(() => heard.length === 1);
    stop.abort();
    await listening;
    expect(heard).toEqual(["INTENT_CLOSED"]);
  });
});

// Last: it removes events.
describe("a cursor whose events are gone", () => {
  test("is answered with cursor_gone, never with what happens to be there", async () => {
    const { next_cursor: old } = (await read("limit=1")).body;
    const { backbone } = market.broadcast.platform;
    const head = await streamHead(backbone, STREAMS.events);
    const codec = new CursorCodec(cursorKeys(CURSOR_SECRET));
    const scope = (epoch: string) => cursorScope(TOPICS.backend(backend.id), epoch);
    const at = (seq: number, epoch = head.epoch!) => codec.write(scope(epoch), { seq, time: Date.now() });
    await purgeBelow(backbone, STREAMS.events, head.lastSeq - 5);
    const rows = [
      ["trimmed", old],
      ["just trimmed", at(head.lastSeq - 7)],
      ["another epoch", at(head.lastSeq, "another epoch")],
      ["beyond the head", at(head.lastSeq + 1_000)],
    ] as const;
    for (const [what, after] of rows) {
      const { status, body } = await read(`after=${after}`);
      expect([what, status, body.code, body.hint]).toEqual([
        what,
        410,
        "cursor_gone",
        expect.stringContaining("without `after`"),
      ]);
    }
    expect((await read(`after=${at(head.lastSeq - 6)}`)).status).toBe(200);
    expect(idsOf((await read()).body.data)).toEqual(await recorded());
    const stale = keyClient.events({ after: old }).next();
    await expect(stale).rejects.toMatchObject({ code: "cursor_gone", status: 410 });
  });
});

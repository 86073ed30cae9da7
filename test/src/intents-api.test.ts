// POST /v1/intents and what follows it, over HTTP on real servers: idempotency, eligibility, ownership, reading, ending.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  type AcksView,
  type ApiKeyCreated,
  digestOf,
  type IntentView,
  receiptId,
  STREAMS,
  SUBJECTS,
  type Receipt,
} from "@outcry/protocol";
import { anIntent, type Backend } from "./api-calls.js";
import { eventually, inMs, type Market, startMarket } from "./in-process.js";
import { connectRaw, type RawNode } from "./raw-node.js";

let market: Market;
let backend: Backend;
let shoes: RawNode;
let books: RawNode;

beforeAll(async () => {
  market = await startMarket();
  backend = await market.backend();
  shoes = await connectRaw(market, { categories: ["fashion/shoes"], regions: ["DE"], capabilities: ["returns"] });
  books = await connectRaw(market, { categories: ["books"], regions: ["FR", "DE-BY"], capabilities: [] });
});
afterAll(() => market.stop());

const item = { query: "running shoes", category: "fashion/shoes" };

describe("Idempotency-Key", () => {
  test("is needed, and is 1 to 255 printable characters", async () => {
    const without = await backend.call("POST", "/v1/intents", anIntent);
    expect([without.status, without.body.code]).toEqual([400, "idempotency_key_missing"]);
    for (const key of ["", "   ", "two words", "k".repeat(256), "caf\u00e9"]) {
      const refused = await backend.post(anIntent, key);
      expect([refused.status, refused.body.code]).toEqual([400, "idempotency_key_invalid"]);
    }
    expect((await backend.post(anIntent, "k".repeat(255))).status).toBe(202);
  });

  test("replays the answer for the same body in other words, and refuses another body", async () => {
    const first = await backend.post({ ...anIntent, budget: { max_minor: 5_000 } }, "once");
    expect([first.status, first.headers.get("idempotent-replayed")]).toEqual([202, null]);
    expect(first.headers.get("location")).toBe(`/v1/intents/${first.body.id}`);

    const reordered =
      '{ "budget":{"max_minor":5e3},\n "context":{"currency":"EUR"}, "line_items":[{"query":"running \\u0073hoes"}] }';
    const again = await backend.post(reordered, "once");
    expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([202, "true"]);
    expect(again.body).toEqual(first.body);

    const other = await backend.post({ ...anIntent, budget: { max_minor: 5_001 } }, "once");
    expect([other.status, other.body.code]).toEqual([409, "idempotency_mismatch"]);
    expect(await market.stored(STREAMS.intents, SUBJECTS.intent(first.body.id))).toHaveLength(1);
  });

  test("makes one intent of twenty posts at once", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => backend.post(anIntent, "at-once")));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 202));
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect(answers.filter(({ headers }) => headers.get("idempotent-replayed") === null)).toHaveLength(1);
    await shoes.hears(answers[0]!.body.id);
    expect(
      shoes.heard.filter(({ kind, data }) => kind === "intent" && digestOf(data) === answers[0]!.body.request_digest),
    ).toHaveLength(1);
  });

  test("belongs to its backend: another's same key is another intent", async () => {
    const other = await market.backend("another");
    const [mine, theirs] = await Promise.all([backend.post(anIntent, "shared"), other.post(anIntent, "shared")]);
    expect([mine.status, theirs.status]).toEqual([202, 202]);
    expect(theirs.body.id).not.toBe(mine.body.id);
  });

  test("is shared by all keys of one backend", async () => {
    const another = { role: "backend", name: "second key", backend_id: backend.id };
    const { body: key } = await market.admin<ApiKeyCreated>("POST", "/v1/api-keys", another);
    const first = await backend.post(anIntent, "two-keys");
    const again = await market.as(key.secret)("POST", "/v1/intents", anIntent, { "idempotency-key": "two-keys" });
    expect([again.status, again.headers.get("idempotent-replayed"), again.body]).toEqual([202, "true", first.body]);
  });

  test("is replayed after the deadline has passed, when the same body would be refused as new", async () => {
    const body = { ...anIntent, quote_deadline: inMs(900) };
    const first = await backend.post(body, "late-replay");
    expect(first.status).toBe(202);
    expect(await market.ended(backend, first.body.id)).toBe("expired");
    const again = await backend.post(body, "late-replay");
    expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([202, "true"]);
    expect(again.body).toEqual(first.body);
    const fresh = await backend.post(body, "late-and-new");
    expect([fresh.status, fresh.body.code]).toEqual([400, "deadline_invalid"]);
  });

  test("is replayed as it was after the nodes have changed", async () => {
    const leaving = await market.register({ categories: ["flowers"] });
    const body = { ...anIntent, line_items: [{ query: "roses", category: "flowers" }] };
    const first = await backend.post(body, "before");
    expect([first.status, first.body.targets]).toEqual([202, 1]);
    await market.admin("DELETE", `/v1/nodes/${leaving.id}`);
    expect((await backend.post(body, "after")).body.code).toBe("no_eligible_nodes");
    const again = await backend.post(body, "before");
    expect([again.status, again.body]).toEqual([202, first.body]);
  });

  test("of a refused post is free for the post that follows it", async () => {
    const body = { ...anIntent, line_items: [{ query: "a boat", category: "boats" }] };
    expect((await backend.post(body, "refused-first")).body.code).toBe("no_eligible_nodes");
    await market.register({ categories: ["boats"] });
    const answers = await Promise.all(Array.from({ length: 5 }, () => backend.post(body, "refused-first")));
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202, 202, 202]);
    expect((await backend.call("GET", `/v1/intents/${answers[0]!.body.id}`)).status).toBe(200);
  });
});

describe("eligibility", () => {
  const targetsOf = async (request: object): Promise<string[]> => {
    const { status, body } = await backend.post({ ...anIntent, ...request });
    if (status !== 202) return [body.code, body.detail];
    const { body: view } = await backend.call<{ data: Receipt[] }>("GET", `/v1/intents/${body.id}/receipts`);
    return view.data.map(({ node_id }) => node_id);
  };
  const inRegion = (region: string) => ({ context: { currency: "EUR", region } });

  test("goes by category, region and capability", async () => {
    expect(await targetsOf({ line_items: [item] })).toEqual([shoes.id]);
    expect(await targetsOf({ line_items: [{ ...item, category: "Fashion/Shoes/Running" }] })).toEqual([shoes.id]);
    expect(await targetsOf({ ...inRegion("FR"), line_items: [{ query: "a novel", category: "books" }] })).toEqual([
      books.id,
    ]);
    expect(await targetsOf({ line_items: [item], routing: { capabilities: ["Returns"] } })).toEqual([shoes.id]);
  });

  test("goes by named targets, allow and block", async () => {
    expect(await targetsOf({ line_items: [item], routing: { targets: [books.id] } })).toEqual([books.id]);
    expect(await targetsOf({ routing: { allow: [books.id, shoes.id], block: [shoes.id] } })).toEqual([books.id]);
  });

  test.each([
    ["category", { line_items: [{ query: "x", category: "nowhere" }] }, "/line_items"],
    ["region", { line_items: [item], context: { currency: "EUR", region: "JP" } }, "/context/region"],
    ["capability", { line_items: [item], routing: { capabilities: ["teleport"] } }, "/routing/capabilities"],
    ["targets", { routing: { targets: ["nod_01h455vb4pex5vsknk084sn02q"] } }, "/routing/targets"],
    ["allow", { line_items: [item], routing: { allow: ["nod_01h455vb4pex5vsknk084sn02q"] } }, "/routing/allow"],
  ])("names the filter %s when it leaves nobody", async (filter, request, pointer) => {
    const { status, body } = await backend.post({ ...anIntent, ...request });
    expect([status, body.code]).toEqual([422, "no_eligible_nodes"]);
    expect(body.detail).toContain(`filter ${filter}`);
    expect(body.errors.map((error) => error.pointer)).toEqual([pointer]);
  });

  test("names the block list, too", async () => {
    const { body } = await backend.post({ ...anIntent, line_items: [item], routing: { block: [shoes.id] } });
    expect([body.code, body.detail]).toEqual(["no_eligible_nodes", expect.stringContaining("filter block")]);
  });

  test("is recorded with the registry's revision, which moves with the registry", async () => {
    const revisionOf = async () => {
      const id = await backend.broadcast({ line_items: [item] });
      return (await backend.call<IntentView>("GET", `/v1/intents/${id}`)).body.registry_revision;
    };
    const before = await revisionOf();
    expect(await revisionOf()).toBe(before);
    await market.register({ categories: ["elsewhere"] });
    expect(await revisionOf()).toBeGreaterThan(before);
  });
});

describe("what a node receives", () => {
  test("is the signed bytes of the record and says nothing of caller, buyer and routing", async () => {
    const request = {
      ...anIntent,
      buyer_id: "buyer-secret-77",
      routing: {
        allow: [shoes.id, books.id, "nod_01h455vb4pex5vsknk084sn02q"],
        block: ["nod_01h455vb4pex5vsknk084sn03q"],
      },
    };
    const unknown = {
      secret_note: "s3cret",
      context: { currency: "EUR", note: "s3cret" },
      line_items: [{ query: "x", note: "s3cret" }],
    };
    const id = await backend.broadcast({ ...request, ...unknown });
    const heard = await shoes.hears(id);
    const { body: view } = await backend.call<IntentView>("GET", `/v1/intents/${id}`);
    expect(heard.digest).toBe(view.request_digest);
    expect([view.buyer_id, view.routing]).toEqual([request.buyer_id, request.routing]);

    const [delivery] = shoes.heardOf("intent", id);
    const everything = new TextDecoder().decode(delivery!.data) + JSON.stringify(delivery!.headers);
    for (const hidden of [
      backend.id,
      request.buyer_id,
      ...request.routing.allow,
      ...request.routing.block,
      "s3cret",
      "routing",
      "allow",
      "block",
    ]) {
      expect(everything).not.toContain(hidden);
    }
    expect(delivery!.headers["Outcry-Signature"]).toBe(view.signature);
    expect(Object.keys(delivery!.headers).toSorted()).toEqual([
      "Outcry-Attempt",
      "Outcry-Signature",
      "Outcry-Time-Left-Ms",
      "X-Request-Id",
      "traceparent",
    ]);
  });
});

describe("an intent of another backend", () => {
  test("does not exist, on any route; operators read it and end nothing", async () => {
    const other = await market.backend("stranger");
    const operator = await market.operator();
    const id = await backend.broadcast({ line_items: [item] });
    const reads = ["", "/acks", "/receipts", "/quotes"].map((rest) => `/v1/intents/${id}${rest}`);
    const ends = ["cancel", "close"].map((verb) => `/v1/intents/${id}/${verb}`);
    const missing = await other.call("GET", "/v1/intents/int_01h455vb4pex5vsknk084sn02q");
    for (const route of reads) {
      const { status, body } = await other.call("GET", route);
      expect([status, body.code, body.detail]).toEqual([404, "intent_not_found", missing.body.detail]);
      expect((await operator("GET", route)).status).toBe(200);
    }
    for (const route of ends) {
      expect((await other.call("POST", route, {})).body.code).toBe("intent_not_found");
      expect((await operator("POST", route, {})).body.code).toBe("permission_denied");
    }
    expect((await backend.call<IntentView>("GET", reads[0]!)).body.status).toBe("open");
    for (const nonsense of ["int_nonsense", "nod_01h455vb4pex5vsknk084sn02q", "%00", "..%2f.."]) {
      expect((await backend.call("GET", `/v1/intents/${nonsense}`)).body.code).toBe("intent_not_found");
    }
  });
});

describe("acks and receipts", () => {
  test("the long poll returns as soon as nobody is pending", async () => {
    const id = await backend.broadcast({ routing: { targets: [shoes.id, books.id] } });
    const asked = Date.now();
    const waiting = backend.call<AcksView>("GET", `/v1/intents/${id}/acks?timeout_ms=20000`);
    shoes.ack(await shoes.hears(id));
    books.ack(await books.hears(id), "rejected");
    const { body } = await waiting;
    expect(Date.now() - asked).toBeLessThan(5_000);
    expect(body.complete).toBe(true);
    expect(new Map(body.acks.map((ack) => [ack.node_id, ack.status]))).toEqual(
      new Map([
        [shoes.id, "acked"],
        [books.id, "rejected"],
      ]),
    );
    expect(body.counts).toMatchObject({ acked: 1, rejected: 1, pending: 0 });
  });

  test("the long poll returns what there is when its time is up", async () => {
    const id = await backend.broadcast({ routing: { targets: [shoes.id, books.id] } });
    shoes.ack(await shoes.hears(id));
    const asked = Date.now();
    const { body } = await backend.call<AcksView>("GET", `/v1/intents/${id}/acks?timeout_ms=400`);
    expect(Date.now() - asked).toBeGreaterThanOrEqual(400);
    expect(body).toMatchObject({ complete: false, counts: { acked: 1, pending: 1 } });
    for (const bad of ["-1", "30001", "1e3", "x", "", "5&timeout_ms=6"]) {
      expect((await backend.call("GET", `/v1/intents/${id}/acks?timeout_ms=${bad}`)).body.code).toBe("request_invalid");
    }
  });

  test("there is one receipt per node, its id derived", async () => {
    const id = await backend.broadcast({ routing: { targets: [shoes.id, books.id] } });
    shoes.ack(await shoes.hears(id), "declined");
    const receipts = await eventually(async () => {
      const { body } = await backend.call<{ data: Receipt[] }>("GET", `/v1/intents/${id}/receipts`);
      return body.data.some(({ status }) => status === "declined") && body.data;
    });
    expect(receipts.map(({ receipt_id }) => receipt_id)).toEqual(
      [shoes.id, books.id].toSorted().map((node) => receiptId(id, node)),
    );
    const mine = receipts.find(({ node_id }) => node_id === shoes.id);
    expect(mine).toMatchObject({
      intent_id: id,
      status: "declined",
      attempts: 1,
      final: false,
      responded_at: expect.any(String),
    });
    expect((await backend.call("POST", `/v1/intents/${id}/close`)).status).toBe(200);
    const { body: after } = await backend.call<{ data: Receipt[] }>("GET", `/v1/intents/${id}/receipts`);
    expect(after.data.map(({ status, final }) => `${status} ${final}`).toSorted()).toEqual([
      "declined true",
      "timed_out true",
    ]);
  });
});

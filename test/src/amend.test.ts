// Amendments on real servers: signed, to the same nodes, acknowledged anew; earlier quotes recorded and unranked; one order with the end.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createAppender } from "@outcry/backbone";
import { createIntentBook, type EndRecord, unpackDeliveries } from "@outcry/delivery";
import {
  type AcksView,
  digestOf,
  type Event,
  type IntentAmended,
  type IntentView,
  LIMITS,
  type Problem,
  type PublicKey,
  type QuotesView,
  quoteId,
  type RevisionsView,
  STREAMS,
  SUBJECTS,
  systemClock,
  type TimelineView,
} from "@outcry/protocol";
import { checkPublicJwk, keySource, verifyEnvelope } from "@outcry/signing";
import { type Answer, anIntent, type Backend } from "./api-calls.js";
import { eventually, inMs, type Market, SERVICE_ID, startMarket } from "./in-process.js";
import { connectRaw, type HeardIntent, type RawNode } from "./raw-node.js";

let market: Market;
let backend: Backend;
let one: RawNode;
let other: RawNode;

beforeAll(async () => {
  market = await startMarket();
  backend = await market.backend();
  one = await connectRaw(market, { categories: ["quiet"] });
  other = await connectRaw(market, { categories: ["quiet"] });
});
afterAll(() => market.stop());

const toBoth = () => ({
  ...anIntent,
  budget: { max_minor: 5_000 },
  quote_deadline: inMs(60_000),
  routing: { targets: [one.id, other.id] },
});

/** Amended or refused; `status` is left to the answer's own. */
type Outcome = Omit<IntentAmended, "status"> & Omit<Problem, "status">;

const amend = <T = IntentAmended>(id: string, changes: unknown, key: string = crypto.randomUUID()) =>
  backend.call<T>("POST", `/v1/intents/${id}/amend`, changes, { "idempotency-key": key });
const amended = async (id: string, changes: unknown, key?: string): Promise<IntentAmended> => {
  const answer = await amend(id, changes, key);
  if (answer.status !== 202) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
};
const view = async (id: string) => (await backend.call<IntentView>("GET", `/v1/intents/${id}`)).body;
const quotes = async (id: string) => (await backend.call<QuotesView>("GET", `/v1/intents/${id}/quotes`)).body;
const acks = async (id: string) =>
  Object.fromEntries(
    (await backend.call<AcksView>("GET", `/v1/intents/${id}/acks`)).body.acks.map(({ node_id, status }) => [
      node_id,
      status,
    ]),
  );
const dataOf = (event: Event) => event.data as unknown as Record<string, unknown>;

/** The revision as it arrived. */
const hears = (node: RawNode, id: string, revision: number): Promise<HeardIntent & { signature: string }> =>
  eventually(() => {
    for (const { kind, data, headers } of node.heard) {
      if (kind !== "intent") continue;
      const intent = JSON.parse(new TextDecoder().decode(data)) as HeardIntent["intent"];
      if (intent.id !== id || (intent.payload.revision ?? 0) !== revision) continue;
      return { intent, bytes: data, digest: digestOf(data), signature: headers["Outcry-Signature"]! };
    }
    return undefined;
  });

async function serviceKeys() {
  const { body } = await market.as(undefined)<{ keys: PublicKey[] }>("GET", "/.well-known/jwks.json");
  return keySource(
    body.keys.map((jwk) => {
      const checked = checkPublicJwk(jwk);
      if (checked.kind !== "ok") throw new Error(checked.detail);
      return { kid: jwk.kid, owner: SERVICE_ID, alg: checked.alg, publicKey: checked.publicKey };
    }),
  );
}

describe("an amendment", () => {
  test("reaches the same nodes, signed by the service, with what was left out as it stood", async () => {
    const id = await backend.broadcast(toBoth());
    const first = await hears(one, id, 0);
    const answer = await amended(id, { budget: { max_minor: 9_000 }, description: "in a hurry" });
    expect(answer).toMatchObject({ id, status: "accepted", targets: 2, revision: 1, supersedes: first.digest });
    for (const node of [one, other]) {
      const heard = await hears(node, id, 1);
      expect(heard.digest).toBe(answer.request_digest);
      expect(verifyEnvelope(heard.bytes, heard.signature, await serviceKeys())).toMatchObject({ kind: "verified" });
      expect(heard.intent.payload).toEqual({
        ...first.intent.payload,
        budget: { max_minor: 9_000 },
        description: "in a hurry",
        revision: 1,
        supersedes: first.digest,
      });
      expect(heard.intent.trace_id).toBe(first.intent.trace_id);
    }
    expect(await view(id)).toMatchObject({ revision: 1, request_digest: answer.request_digest, status: "open" });
  });

  test("is acknowledged anew: an ack or a decline of the earlier revision counts no more", async () => {
    const id = await backend.broadcast(toBoth());
    one.ack(await hears(one, id, 0));
    other.ack(await hears(other, id, 0), "declined");
    await eventually(async () => (await acks(id))[other.id] === "declined");
    await amended(id, { budget: { max_minor: 9_000 } });
    await hears(one, id, 1);
    expect(await acks(id)).toEqual({ [one.id]: "pending", [other.id]: "pending" });

    one.ack(await hears(one, id, 0)); // late, of the first revision
    await eventually(() => market.counts["ackRefused ack_superseded"] === 1);
    expect((await acks(id))[one.id]).toBe("pending");
    one.ack(await hears(one, id, 1));
    await eventually(async () => (await acks(id))[one.id] === "acked");
    expect((await acks(id))[other.id]).toBe("pending");
  });

  test("leaves earlier quotes recorded and unranked, and ranks those on itself", async () => {
    const id = await backend.broadcast(toBoth());
    const first = await hears(one, id, 0);
    expect(await one.ask(id, one.quote(first))).toMatchObject({ kind: "stored" });
    expect((await market.quotesOf(backend, id, 1)).quotes).toHaveLength(1);

    await amended(id, { budget: { max_minor: 9_000 } });
    expect(await quotes(id)).toMatchObject({ quotes: [], unranked: [{ node_id: one.id, code: "superseded" }] });

    const second = await hears(one, id, 1);
    const late = await other.ask(id, other.quote(await hears(other, id, 0)));
    expect(late).toMatchObject({ kind: "stored" });
    const answer = await one.ask(id, one.quote(second, { amountMinor: 8_000 }));
    expect(answer).toMatchObject({ kind: "stored", quote_id: quoteId(id, one.id, 0, 1) });
    const after = await market.quotesOf(backend, id, 3);
    expect(after.quotes.map(({ quote_id }) => quote_id)).toEqual([quoteId(id, one.id, 0, 1)]);
    expect(new Map(after.unranked.map(({ node_id, code }) => [node_id, code]))).toEqual(
      new Map([one, other].map((node) => [node.id, "superseded"])),
    );
    const refused = (await market.nodeEvents(other.id)).findLast(({ type }) => type === "QUOTE_REFUSED")!;
    expect(dataOf(refused)).toMatchObject({ intent_id: id, code: "quote_superseded" });
    expect(await acks(id)).toMatchObject({ [one.id]: "quoted", [other.id]: "pending" });
  });

  test("closes when all have answered the newest revision, and the end says which one it was", async () => {
    const id = await backend.broadcast(toBoth());
    one.ack(await hears(one, id, 0), "declined");
    await amended(id, { quote_deadline: inMs(50_000) });
    await amended(id, { budget: null });
    for (const node of [one, other]) {
      const heard = await hears(node, id, 2);
      expect(heard.intent.payload.budget).toBeUndefined();
      node.ack(heard, "declined");
    }
    expect(await market.ended(backend, id)).toBe("closed");
    const events = await market.eventsOf(id);
    expect(events.filter(({ type }) => type === "INTENT_AMENDED").map((event) => dataOf(event)["revision"])).toEqual([
      1, 2,
    ]);
    expect(events.at(-1)!.type).toBe("INTENT_CLOSED");
    const end = (await market.last(STREAMS.intents, SUBJECTS.intentEnd(id)))!;
    const record = JSON.parse(new TextDecoder().decode(end.data)) as EndRecord;
    expect(record.revision).toBe(2);
    expect(unpackDeliveries(record.deliveries).map(({ state }) => state)).toEqual(["declined", "declined"]);
  });

  test("moves the deadline: an intent lives on, or ends earlier", async () => {
    const longer = await backend.broadcast({ ...toBoth(), quote_deadline: inMs(1_000) });
    await amended(longer, { quote_deadline: inMs(20_000) });
    const shorter = await backend.broadcast(toBoth());
    await amended(shorter, { quote_deadline: inMs(600) });
    expect(await market.ended(backend, shorter)).toBe("expired");
    expect((await view(longer)).status).toBe("open");
    await backend.call("POST", `/v1/intents/${longer}/cancel`);
  });

  test("shows in the timeline, with the revision of each attempt, answer and quote", async () => {
    const id = await backend.broadcast(toBoth());
    const first = await hears(one, id, 0);
    one.ack(first);
    await eventually(async () => (await acks(id))[one.id] === "acked");
    await amended(id, { budget: { max_minor: 9_000 } });
    const second = await hears(one, id, 1);
    one.ack(second);
    await one.ask(id, one.quote(second));
    await market.quotesOf(backend, id, 1);
    const { body } = await backend.call<TimelineView>("GET", `/v1/intents/${id}/timeline?node_id=${one.id}`);
    expect(body.stages.map(({ stage, revision }) => [stage, revision])).toEqual([
      ["RECORDED", undefined],
      ["INTENT_CREATED", undefined],
      ["INTENT_BROADCASTED", undefined],
      ["INTENT_AMENDED", 1],
      ["INTENT_BROADCASTED", 1],
      ["QUOTE_RECEIVED", 1],
    ]);
    const [node] = body.nodes;
    expect(node!.attempts.map(({ revision, attempt }) => [revision, attempt])).toEqual([
      [undefined, 1],
      [1, 1],
    ]);
    expect(node!.answers.map(({ revision, kind }) => [revision, kind])).toEqual([
      [undefined, "ack"],
      [1, "ack"],
      [1, "quote"],
    ]);
    expect(node!.quotes).toMatchObject([{ revision: 1, outcome: "received" }]);
  });

  test("keeps every revision as it was signed, so that an earlier quote can still be checked", async () => {
    const id = await backend.broadcast(toBoth());
    await amended(id, { budget: { max_minor: 9_000 } });
    const { body } = await backend.call<RevisionsView>("GET", `/v1/intents/${id}/revisions`);
    expect(body.data.map(({ revision }) => revision)).toEqual([0, 1]);
    for (const { envelope, signature, request_digest } of body.data) {
      const bytes = new TextEncoder().encode(envelope);
      expect(digestOf(bytes)).toBe(request_digest);
      expect(verifyEnvelope(bytes, signature, await serviceKeys())).toMatchObject({ kind: "verified" });
    }
  });

  test("begins retries anew, and a node that was dead is asked again", async () => {
    const fast = await startMarket({ ackTimeoutMs: 120, attemptsMax: 2 });
    try {
      const shop = await fast.backend();
      const [away, here] = [await connectRaw(fast), await connectRaw(fast)];
      here.acksAll();
      const request = { ...anIntent, quote_deadline: inMs(30_000), routing: { targets: [away.id, here.id] } };
      const id = await shop.broadcast(request);
      const status = async () => {
        const { body } = await shop.call<AcksView>("GET", `/v1/intents/${id}/acks`);
        return body.acks.find(({ node_id }) => node_id === away.id)?.status;
      };
      await eventually(async () => (await status()) === "dead");
      const before = away.heardOf("intent", id).length;
      const answer = await shop.call<IntentAmended>(
        "POST",
        `/v1/intents/${id}/amend`,
        { budget: { max_minor: 1 } },
        {
          "idempotency-key": "k1",
        },
      );
      expect(answer.status).toBe(202);
      away.ack(await hears(away, id, 1));
      await eventually(async () => (await status()) === "acked");
      expect(away.heardOf("intent", id).length).toBeGreaterThan(before);
      await shop.call("POST", `/v1/intents/${id}/close`);
      expect(await fast.ended(shop, id)).toBe("closed");
      // What was dead for the first revision has answered the second: told once, at the latest before the end.
      expect((await fast.eventsOf(id)).slice(-2).map(({ type }) => type)).toEqual([
        "DELIVERY_RECOVERED",
        "INTENT_CLOSED",
      ]);
    } finally {
      await fast.stop();
    }
  });
});

test("a process that has not heard of an amendment learns of it once for all the acks that come together", async () => {
  const { backbone } = market.broadcast.platform;
  const book = createIntentBook({ backbone, clock: systemClock }); // as another process has it
  const { id } = (await backend.post(toBoth())).body;
  expect((await book.get(id))?.revision).toBe(0);
  await amended(id, { budget: { max_minor: 6_000 } });
  const learnt = await Promise.all([book.refreshSeldom(id), book.refreshSeldom(id)]);
  expect(learnt.map((intent) => intent?.revision)).toEqual([1, 1]);
});

test("what cannot be read as an amendment is set aside, and the intent goes on", async () => {
  const small = await startMarket({ deliveriesMax: 2 });
  try {
    const shop = await small.backend();
    const node = (await connectRaw(small)).acksAll();
    const open = await shop.broadcast({ ...anIntent, quote_deadline: inMs(60_000) });
    await node.hears(open);
    const appender = createAppender(small.broadcast.platform.backbone, { stream: STREAMS.intents });
    await appender.append({ subject: SUBJECTS.intentRevision(open, 1), data: Buffer.from('{"record_version":1}') });
    await eventually(async () => (await small.stored(STREAMS.deadLetters)).length === 1, 30_000);
    const key = { "idempotency-key": "k" };
    const answer = await shop.call<IntentAmended>(
      "POST",
      `/v1/intents/${open}/amend`,
      { budget: { max_minor: 7 } },
      key,
    );
    expect([answer.status, answer.body.revision]).toEqual([202, 1]);
    expect((await hears(node, open, 1)).intent.payload.budget).toEqual({ max_minor: 7 });
    expect((await shop.call("POST", `/v1/intents/${open}/cancel`)).status).toBe(200);
    expect(await small.ended(shop, open)).toBe("cancelled");
  } finally {
    await small.stop();
  }
}, 90_000);

describe("the request", () => {
  test("is applied once under its key, also behind later amendments and the end; another body is a conflict", async () => {
    const id = await backend.broadcast(toBoth());
    const first = await amended(id, { budget: { max_minor: 6_000 } }, "raise");
    await amended(id, { budget: { max_minor: 7_000 } });
    const again = await amend(id, { budget: { max_minor: 6_000 } }, "raise");
    expect([again.status, again.headers.get("idempotent-replayed"), again.body]).toEqual([202, "true", first]);
    await backend.call("POST", `/v1/intents/${id}/cancel`);
    expect((await amend(id, { budget: { max_minor: 6_000 } }, "raise")).body).toEqual(first);
    expect((await amend(id, { budget: { max_minor: 1 } }, "raise")).body).toMatchObject({
      code: "idempotency_mismatch",
    });
    expect(await market.stored(STREAMS.intents, SUBJECTS.intentRevisions(id))).toHaveLength(2);
  });

  test("does not change what a repeated POST is answered with", async () => {
    const request = toBoth();
    const posted = await backend.post(request, "post-then-amend");
    await amended(posted.body.id, { quote_deadline: inMs(40_000) });
    const again = await backend.post(request, "post-then-amend");
    expect([again.status, again.body]).toEqual([202, posted.body]);
  });

  test.each([
    ["nothing that differs", { budget: { max_minor: 5_000 } }, "amendment_empty"],
    ["no member at all", {}, "amendment_empty"],
    ["another revision than it expects", { expected_revision: 3, budget: null }, "revision_mismatch"],
    ["a deadline that has passed", { quote_deadline: "2020-01-01T00:00:00.000Z" }, "deadline_invalid"],
    ["routing", { routing: { targets: [] } }, "amendment_empty"],
    ["a line item without a query", { line_items: [{ id: "x" }] }, "validation_failed"],
    ["no line items", { line_items: [] }, "validation_failed"],
    ["null for what every intent has", { line_items: null }, "validation_failed"],
    ["a budget below zero", { budget: { max_minor: -1 } }, "validation_failed"],
    ["a body that is no object", "7", "validation_failed"],
    ["text that is no JSON", "{", "json_syntax"],
  ])("with %s is refused, and nothing changes", async (_what, changes, code) => {
    const id = await backend.broadcast(toBoth());
    const answer = await amend<Problem>(id, changes);
    expect(answer.body.code).toBe(code);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect((await view(id)).revision).toBe(0);
    await backend.call("POST", `/v1/intents/${id}/cancel`);
  });

  test("needs a key, an own intent, and one that is open", async () => {
    const id = await backend.broadcast(toBoth());
    const path = `/v1/intents/${id}/amend`;
    expect((await backend.call("POST", path, { budget: null })).body.code).toBe("idempotency_key_missing");
    const stranger = await market.backend("another marketplace");
    const key = { "idempotency-key": "k" };
    expect((await stranger.call("POST", path, { budget: null }, key)).body.code).toBe("intent_not_found");
    expect((await stranger.call("GET", `/v1/intents/${id}/revisions`)).body.code).toBe("intent_not_found");
    await backend.call("POST", `/v1/intents/${id}/cancel`);
    expect((await amend<Problem>(id, { budget: null })).body.code).toBe("intent_ended");
  });

  test("is counted: the limit of revisions is told, and holds", async () => {
    const id = await backend.broadcast(toBoth());
    for (let nth = 1; nth <= LIMITS.intentRevisionsMax; nth++)
      expect((await amended(id, { budget: { max_minor: nth } })).revision).toBe(nth);
    expect((await amend<Problem>(id, { budget: { max_minor: 99 } })).body.code).toBe("revisions_too_many");
    const heard = await hears(one, id, LIMITS.intentRevisionsMax);
    expect(heard.intent.payload.budget).toEqual({ max_minor: LIMITS.intentRevisionsMax });
    await backend.call("POST", `/v1/intents/${id}/cancel`);
  });
});

describe("races", () => {
  test("of amendments have one order: each is applied on top of the one before", async () => {
    const id = await backend.broadcast(toBoth());
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, nth) => amended(id, { budget: { max_minor: 100 + nth } })),
    );
    expect(answers.map(({ revision }) => revision).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6]);
    const newest = answers.find(({ revision }) => revision === 6)!;
    expect((await hears(one, id, 6)).digest).toBe(newest.request_digest);
    await backend.call("POST", `/v1/intents/${id}/cancel`);
  });

  test("with an expected revision one wins, and the others are told", async () => {
    const id = await backend.broadcast(toBoth());
    const answers: Answer<Outcome>[] = await Promise.all(
      Array.from({ length: 4 }, (_, nth) =>
        amend<Outcome>(id, { expected_revision: 0, budget: { max_minor: 200 + nth } }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([202, 409, 409, 409]);
    expect(answers.filter(({ status }) => status === 409).map(({ body }) => body.code)).toEqual(
      Array.from({ length: 3 }, () => "revision_mismatch"),
    );
  });

  test("with the end: either it was amended and that revision ended, or it had ended", async () => {
    for (let round = 0; round < 20; round++) {
      const id = await backend.broadcast(toBoth());
      const [change, end] = await Promise.all([
        amend<Outcome>(id, { budget: { max_minor: 300 } }),
        backend.call<{ status: string }>("POST", `/v1/intents/${id}/cancel`),
      ]);
      expect(end.status).toBe(200);
      expect(await market.ended(backend, id)).toBe("cancelled");
      const record = JSON.parse(
        new TextDecoder().decode((await market.last(STREAMS.intents, SUBJECTS.intentEnd(id)))!.data),
      ) as EndRecord;
      if (change.status === 202) expect(record.revision).toBe(1);
      else expect([change.body.code, record.revision]).toEqual(["intent_ended", undefined]);
      expect(unpackDeliveries(record.deliveries).map(({ state }) => state)).toEqual(["cancelled", "cancelled"]);
      const types = (await market.eventsOf(id)).map(({ type }) => type);
      expect(types.filter((type) => type === "INTENT_AMENDED")).toHaveLength(change.status === 202 ? 1 : 0);
      expect(types.at(-1)).toBe("INTENT_CANCELLED");
    }
  });
});

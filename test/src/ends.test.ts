// The end of an intent, on real servers: cancel, close, expiry, all at once; what nodes hear; the order of an intent's events.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type EndRecord, unpackDeliveries } from "@outcry/delivery";
import { type Cancel, type IntentView, PROTOCOL_VERSION, type PublicKey, STREAMS, SUBJECTS } from "@outcry/protocol";
import { checkPublicJwk, keySource, verifyEnvelope } from "@outcry/signing";
import { anIntent, type Backend } from "./api-calls.js";
import { eventually, inMs, type Market, SERVICE_ID, startMarket } from "./in-process.js";
import { connectRaw, type RawNode } from "./raw-node.js";

const END = /^INTENT_(CLOSED|EXPIRED|CANCELLED)$/;

let market: Market;
let backend: Backend;
let quiet: RawNode;

beforeAll(async () => {
  market = await startMarket();
  backend = await market.backend();
  quiet = await connectRaw(market, { categories: ["quiet"] });
});
afterAll(() => market.stop());

const toQuiet = () => ({ ...anIntent, routing: { targets: [quiet.id] } });
const endOf = (id: string, verb: "cancel" | "close", body?: unknown) =>
  backend.call<{ id: string; status: string; reason?: string } & { code: string }>(
    "POST",
    `/v1/intents/${id}/${verb}`,
    body,
  );
const endRecords = async (id: string): Promise<EndRecord[]> =>
  (await market.stored(STREAMS.intents, SUBJECTS.intentEnd(id))).map(
    ({ data }) => JSON.parse(new TextDecoder().decode(data)) as EndRecord,
  );
const typesOf = async (id: string) => (await market.eventsOf(id)).map(({ type }) => type);

/** As a node gets them: the published key set. */
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

describe("cancel", () => {
  test("is told to every target with a signature that verifies, and is repeated with the same answer", async () => {
    const id = await backend.broadcast(toQuiet());
    const heard = await quiet.hears(id);
    const first = await endOf(id, "cancel", { reason: "bought elsewhere" });
    expect([first.status, first.body]).toEqual([200, { id, status: "cancelled", reason: "bought elsewhere" }]);
    const again = await endOf(id, "cancel", { reason: "another reason" });
    expect([again.status, again.body]).toEqual([200, first.body]);

    const [told] = await eventually(() => quiet.heardOf("cancel", id).length > 0 && quiet.heardOf("cancel", id));
    const verdict = verifyEnvelope(told!.data, told!.headers["Outcry-Signature"], await serviceKeys());
    expect(verdict).toMatchObject({ kind: "verified", sender: SERVICE_ID });
    const cancel = (verdict as unknown as { envelope: Cancel }).envelope;
    expect(cancel).toMatchObject({
      type: "cancel",
      version: PROTOCOL_VERSION,
      in_reply_to: id,
      request_digest: heard.digest,
    });
    expect(cancel.payload).toEqual({ intent_id: id, reason: "bought elsewhere" });

    const { body: view } = await backend.call<IntentView>("GET", `/v1/intents/${id}`);
    expect(view).toMatchObject({ status: "cancelled", deliveries: { cancelled: 1, pending: 0 } });
    expect(quiet.heardOf("cancel", id)).toHaveLength(1);
  });

  test("needs no body, and refuses one that does not fit", async () => {
    const id = await backend.broadcast(toQuiet());
    for (const body of [{ reason: "" }, { reason: "x".repeat(257) }, { reason: 7 }, [], null]) {
      expect((await endOf(id, "cancel", body === null ? "[" : body)).status).toBe(400);
    }
    expect((await endOf(id, "cancel")).body).toEqual({ id, status: "cancelled" });
  });

  test("comes right behind the post: the intent's creation is still its first event", async () => {
    for (let round = 0; round < 10; round++) {
      const id = await backend.broadcast(toQuiet());
      expect((await endOf(id, "cancel")).status).toBe(200);
      await market.ended(backend, id);
      const types = await typesOf(id);
      expect([types[0], types.at(-1)]).toEqual(["INTENT_CREATED", "INTENT_CANCELLED"]);
      expect(types.filter((type) => type === "INTENT_BROADCASTED").length).toBeLessThanOrEqual(1);
    }
  });
});

describe("after the end", () => {
  test("another end is a conflict", async () => {
    const cancelled = await backend.broadcast(toQuiet());
    await endOf(cancelled, "cancel");
    const closed = await backend.broadcast(toQuiet());
    expect((await endOf(closed, "close")).body.status).toBe("closed");
    for (const answer of [await endOf(cancelled, "close"), await endOf(closed, "cancel")]) {
      expect([answer.status, answer.body.code]).toEqual([409, "intent_ended"]);
    }
    const expired = await backend.broadcast({ ...toQuiet(), quote_deadline: inMs(800) });
    expect(await market.ended(backend, expired)).toBe("expired");
    expect((await endOf(expired, "cancel")).body.code).toBe("intent_ended");
  });

  test("an ack changes nothing and is not told any more", async () => {
    const id = await backend.broadcast(toQuiet());
    const heard = await quiet.hears(id);
    await endOf(id, "cancel");
    await market.ended(backend, id);
    const before = await typesOf(id);
    const refused = market.counts["ackRefused ack_after_end"] ?? 0;
    quiet.ack(heard);
    await eventually(() => (market.counts["ackRefused ack_after_end"] ?? 0) > refused);
    expect(await typesOf(id)).toEqual(before);
    expect((await backend.call<IntentView>("GET", `/v1/intents/${id}`)).body.deliveries).toMatchObject({
      cancelled: 1,
      acked: 0,
    });
  });

  test("a quote is stored, refused with intent_ended and never ranked, also when Redis has forgotten the intent", async () => {
    const forget = async (id: string) => void (await market.broadcast.platform.redis.client.del(`dlv:${id}`));
    for (const between of [async () => undefined, forget]) {
      const id = await backend.broadcast(toQuiet());
      const heard = await quiet.hears(id);
      await endOf(id, "cancel");
      await market.ended(backend, id);
      await between(id);
      expect(await quiet.ask(id, quiet.quote(heard))).toMatchObject({ kind: "stored" });
      const { quotes, unranked } = await market.quotesOf(backend, id, 1);
      expect([quotes, unranked.map(({ code }) => code)]).toEqual([[], ["intent_ended"]]);
      expect((await typesOf(id)).at(-1)).toBe("INTENT_CANCELLED");
    }
  });
});

describe("close", () => {
  test("counts the quotes stored so far and times the silent out", async () => {
    const other = await connectRaw(market);
    const id = await backend.broadcast({ ...anIntent, routing: { targets: [quiet.id, other.id] } });
    const heard = await quiet.hears(id);
    expect(await quiet.ask(id, quiet.quote(heard))).toMatchObject({ kind: "stored" });
    expect((await endOf(id, "close")).status).toBe(200);
    await market.ended(backend, id);
    const { status, quotes } = await market.quotesOf(backend, id, 1);
    expect([status, quotes.map(({ node_id }) => node_id)]).toEqual(["closed", [quiet.id]]);
    const [record] = await endRecords(id);
    const states = unpackDeliveries(record!.deliveries).map(({ state }) => state);
    expect(states).toEqual([quiet.id, other.id].toSorted().map((node) => (node === quiet.id ? "quoted" : "timed_out")));
  });
});

describe("an intent's events", () => {
  test("come in the contract's order, the end last", async () => {
    const quoting = await market.seller(async (_intent, context) => context.quote({ amountMinor: 900 }));
    const declining = await market.seller(async (_intent, context) => context.decline("no_inventory"));
    const id = await backend.broadcast({ ...anIntent, routing: { targets: [quoting.id, declining.id] } });
    expect(await market.ended(backend, id)).toBe("closed");
    const events = await market.eventsOf(id);
    const types = events.map(({ type }) => type);
    expect(types[0]).toBe("INTENT_CREATED");
    expect(types.filter((type) => END.test(type))).toEqual(["INTENT_CLOSED"]);
    expect(types.at(-1)).toBe("INTENT_CLOSED");
    for (const once of ["INTENT_CREATED", "INTENT_BROADCASTED", "QUOTE_RECEIVED"])
      expect(types.filter((type) => type === once)).toHaveLength(1);
    const quoted = events.findIndex(
      ({ type, data }) => type === "NODE_RESPONDED" && JSON.stringify(data).includes('"quoted"'),
    );
    expect(quoted).toBeGreaterThan(0);
    expect(quoted).toBeLessThan(types.indexOf("QUOTE_RECEIVED"));
    expect(new Set(events.map(({ trace_id }) => trace_id)).size).toBe(1);
    expect(events.at(-1)!.data).toMatchObject({ intent_id: id, counts: { quoted: 1, declined: 1 } });
  });
});

describe("twenty ends at once", () => {
  test("are one write and one event, whoever wins: cancel, close or the deadline", async () => {
    const winners = new Set<string>();
    for (let round = 0; round < 8; round++) {
      const leadMs = 500 + 20 * round;
      const id = await backend.broadcast({ ...toQuiet(), quote_deadline: inMs(leadMs) });
      await quiet.hears(id);
      // Around the moment when the deadline ends it, 100 ms of grace behind, and in the last round clearly after it.
      await new Promise((resolve) => setTimeout(resolve, round < 2 ? 0 : leadMs + (round < 7 ? 60 : 400)));
      const verbs = Array.from({ length: 20 }, (_, nth) => ((nth + round) % 2 === 0 ? "cancel" : "close"));
      const calls = verbs.map((verb, nth) => endOf(id, verb, { reason: `caller ${nth}` }));
      const answers = await Promise.all(calls);
      const outcome = await market.ended(backend, id);
      winners.add(outcome);

      const records = await endRecords(id);
      expect(records.map((record) => record.outcome)).toEqual([outcome]);
      expect((await typesOf(id)).filter((type) => END.test(type))).toEqual([`INTENT_${outcome.toUpperCase()}`]);
      for (const [nth, { status, body }] of answers.entries()) {
        const wanted = verbs[nth] === "cancel" ? "cancelled" : "closed";
        if (wanted === outcome)
          expect([status, body]).toEqual([200, { id, status: outcome, reason: records[0]!.reason }]);
        else expect([status, body.code]).toEqual([409, "intent_ended"]);
      }
    }
    expect([...winners].toSorted()).toEqual(["cancelled", "closed", "expired"]);
  });
});

test("nothing of all this is left in a backlog, and nothing was logged as an error", async () => {
  await eventually(async () => Object.keys(await market.backlog()).length === 0);
  expect(market.logs.filter(({ level }) => level === "error")).toEqual([]);
});

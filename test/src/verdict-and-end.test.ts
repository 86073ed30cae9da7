// The last verdict on a silent delivery against the end of its intent and against an answer: when one of them comes first, nobody is
// told dead. Nor behind an attempt that another process has sent, before it came once more from the one that judges.

import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type EndRecord, unpackDeliveries } from "@outcry/delivery";
import { type Event, STREAMS, SUBJECTS, buildEvent, systemClock, toRfc3339 } from "@outcry/protocol";
import type { Backend } from "./api-calls.js";
import { type Market, eventually, startMarket } from "./in-process.js";
import { connectRaw } from "./raw-node.js";

let market: Market;
let backend: Backend;

beforeAll(async () => {
  market = await startMarket({ ackTimeoutMs: 300, attemptsMax: 1 });
  backend = await market.backend();
});
afterAll(() => market.stop());

/** The verdict looks at the row, waits for the last answers, and looks again: between the two looks something comes. */
function beforeSecondLook(comes: () => Promise<unknown>): Promise<void> {
  const { rows } = market.broadcast.platform;
  const pending = rows.pending.bind(rows);
  return new Promise((resolve) => {
    let looks = 0;
    rows.pending = async (intentId) => {
      const found = await pending(intentId);
      if (found.kind !== "open" || found.attempt === 0 || ++looks < 2) return found;
      rows.pending = pending;
      await comes();
      resolve();
      return pending(intentId);
    };
  });
}

async function finalStates(id: string): Promise<string[]> {
  const end = await market.last(STREAMS.intents, SUBJECTS.intentEnd(id));
  const { deliveries } = JSON.parse(Buffer.from(end!.data).toString("utf8")) as EndRecord;
  return unpackDeliveries(deliveries).map(({ state }) => state);
}

test("an end that begins while the last answers are waited for leaves no delivery told dead", async () => {
  const { rows, run } = market.broadcast.platform;
  const { id: silent } = await market.register();
  const id = await backend.broadcast({ routing: { targets: [silent] } });
  const ending = { outcome: "cancelled", by: "backend", atMs: Date.now() } as const;
  await beforeSecondLook(() => run.during(() => rows.beginEnding({ id, revision: 0 }, ending)));
  expect((await backend.call("POST", `/v1/intents/${id}/cancel`)).status).toBe(200);
  expect(await market.ended(backend, id)).toBe("cancelled");

  expect((await market.eventsOf(id)).map(({ type }) => type)).not.toContain("DELIVERY_DEAD_LETTERED");
  expect(await finalStates(id)).toEqual(["cancelled"]);
  expect(await market.stored(STREAMS.deadLetters)).toEqual([]);
});

test("an answer that another process tells before the verdict, and has not put into the row yet, leaves its node alive", async () => {
  const { events, book } = market.broadcast.platform;
  const [{ id: late }, { id: silent }] = [await market.register(), await market.register()];
  const id = await backend.broadcast({ routing: { targets: [late, silent] } });
  await beforeSecondLook(async () => {
    const { topic, intent } = (await book.get(id))!;
    const answer = { node_id: late, kind: "ack", status: "accepted", received_at: toRfc3339(Date.now()) } as const;
    const traceId = intent.trace_id;
    const event = buildEvent(
      "NODE_RESPONDED",
      { intent_id: id, responses: [answer] },
      { topic, traceId, clock: systemClock },
    );
    await events.append(event);
  });
  const isDeath = ({ type }: Event): boolean => type === "DELIVERY_DEAD_LETTERED";
  const death = await eventually(async () => (await market.eventsOf(id)).find(isDeath));
  expect((death.data as { node_ids: string[] }).node_ids).toEqual([silent]);
  expect((await backend.call("POST", `/v1/intents/${id}/cancel`)).status).toBe(200);
  expect(await market.ended(backend, id)).toBe("cancelled");
  expect((await market.eventsOf(id)).filter(isDeath)).toHaveLength(1);
  expect((await finalStates(id)).toSorted()).toEqual(["cancelled", "dead"]);
  expect((await market.stored(STREAMS.deadLetters)).map(({ subject }) => subject)).toEqual([
    SUBJECTS.deadDelivery(id, silent),
  ]);
});

test("an attempt that another process has begun is sent once more by the one that judges it, and the answer to that counts", async () => {
  const { rows, run } = market.broadcast.platform;
  const node = await connectRaw(market);
  const id = await backend.broadcast({ routing: { targets: [node.id] } });
  await node.hears(id);
  node.acksAll(); // what comes from here on
  await run.during(() => rows.beginAttempt({ id, revision: 0 }, 2, [0], Date.now() + 300));
  const typesOf = async () => (await market.eventsOf(id)).map(({ type }) => type);
  await eventually(async () => (await typesOf()).includes("NODE_RESPONDED"));
  const attempts = node.heardOf("intent", id).map(({ headers }) => headers["Outcry-Attempt"]);
  expect(attempts).toEqual(["1", "2"]);
  expect((await backend.call("POST", `/v1/intents/${id}/cancel`)).status).toBe(200);
  expect(await market.ended(backend, id)).toBe("cancelled");
  expect(await typesOf()).not.toContain("DELIVERY_DEAD_LETTERED");
  await node.nats.close();
});

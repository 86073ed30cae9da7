// The last verdict on a silent delivery against the end of its intent: when the end begins first, nobody is told dead.

import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type EndRecord, unpackDeliveries } from "@outcry/delivery";
import { STREAMS, SUBJECTS } from "@outcry/protocol";
import type { Backend } from "./api-calls.js";
import { type Market, startMarket } from "./in-process.js";

let market: Market;
let backend: Backend;

beforeAll(async () => {
  market = await startMarket({ ackTimeoutMs: 300, attemptsMax: 1 });
  backend = await market.backend();
});
afterAll(() => market.stop());

test("an end that begins while the last answers are waited for leaves no delivery told dead", async () => {
  const { rows, run } = market.broadcast.platform;
  const { id: silent } = await market.register();
  const id = await backend.broadcast({ routing: { targets: [silent] } });
  const pending = rows.pending.bind(rows);
  // The verdict looks at the row, waits for the last answers, and looks again: between the two another process begins the end.
  await new Promise<void>((resolve) => {
    let looks = 0;
    rows.pending = async (intentId) => {
      const found = await pending(intentId);
      if (found.kind !== "open" || found.attempt === 0 || ++looks < 2) return found;
      rows.pending = pending;
      await run.during(() =>
        rows.beginEnding({ id, revision: 0 }, { outcome: "cancelled", by: "backend", atMs: Date.now() }),
      );
      resolve();
      return pending(intentId);
    };
  });
  expect((await backend.call("POST", `/v1/intents/${id}/cancel`)).status).toBe(200);
  expect(await market.ended(backend, id)).toBe("cancelled");

  expect((await market.eventsOf(id)).map(({ type }) => type)).not.toContain("DELIVERY_DEAD_LETTERED");
  const end = await market.last(STREAMS.intents, SUBJECTS.intentEnd(id));
  const { deliveries } = JSON.parse(Buffer.from(end!.data).toString("utf8")) as EndRecord;
  expect(unpackDeliveries(deliveries).map(({ state }) => state)).toEqual(["cancelled"]);
  expect(await market.stored(STREAMS.deadLetters)).toEqual([]);
});

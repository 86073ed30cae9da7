// INTENT_BROADCASTED of the first revision, on its way while the intent is amended and ended: nothing but answers stands behind the end.

import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Backend } from "./api-calls.js";
import { type Market, eventually, startMarket } from "./in-process.js";

let market: Market;
let backend: Backend;

beforeAll(async () => {
  market = await startMarket({});
  backend = await market.backend();
});
afterAll(() => market.stop());

/** Holds up the first append of the event until what it returns is called; that resolves when it was answered. */
function holdBroadcasted(): { held: Promise<void>; release: () => Promise<void> } {
  const { events } = market.broadcast.platform;
  const append = events.append.bind(events);
  let onHeld = () => {};
  let release = () => {};
  let appended: Promise<unknown> = Promise.resolve();
  const held = new Promise<void>((resolve) => (onHeld = resolve));
  const released = new Promise<void>((resolve) => (release = resolve));
  events.append = (event, options) => {
    if (event.type !== "INTENT_BROADCASTED") return append(event, options);
    events.append = append;
    onHeld();
    const later = released.then(() => append(event, options));
    appended = later;
    return later;
  };
  return {
    held,
    release: async () => {
      release();
      await appended;
    },
  };
}

const typesOf = async (id: string): Promise<string[]> => (await market.eventsOf(id)).map(({ type }) => type);

test("behind an amendment and a cancel it is not told any more", async () => {
  const { id: silent } = await market.register();
  const { held, release } = holdBroadcasted();
  const id = await backend.broadcast({ routing: { targets: [silent] } });
  await held;
  const idempotency = { "idempotency-key": crypto.randomUUID() };
  const changes = { description: "in a hurry" };
  expect((await backend.call("POST", `/v1/intents/${id}/amend`, changes, idempotency)).status).toBe(202);
  expect((await backend.call("POST", `/v1/intents/${id}/cancel`)).status).toBe(200);
  expect(await market.ended(backend, id)).toBe("cancelled");
  await eventually(async () => (await typesOf(id)).includes("INTENT_CANCELLED"));
  await release();
  const types = await typesOf(id);
  expect(types.slice(types.indexOf("INTENT_CANCELLED") + 1)).toEqual([]);
  expect(types[0]).toBe("INTENT_CREATED");
});

// A node that comes back, on real servers: what it missed and may still answer is sent once more, at a bounded rate.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type CaughtUp, createNode, type SellerNode } from "@outcry/node";
import { type AcksView, canonicalize, LIMITS, PROTOCOL, PROTOCOL_VERSION, SUBJECTS } from "@outcry/protocol";
import type { Backend } from "./api-calls.js";
import { eventually, inMs, type Market, type Registered, startMarket } from "./in-process.js";
import { connectRaw } from "./raw-node.js";

let market: Market;
let backend: Backend;

beforeAll(async () => {
  market = await startMarket(); // a silent node is sent nothing twice within 30 s
  backend = await market.backend();
});
afterAll(() => market.stop());

const request = canonicalize({ protocol: PROTOCOL, version: PROTOCOL_VERSION });
const stateOf = async (id: string, node: string) => {
  const { body } = await backend.call<AcksView>("GET", `/v1/intents/${id}/acks`);
  return body.acks.find(({ node_id }) => node_id === node);
};
const toOne = (node: string, seconds = 60) =>
  backend.broadcast({ routing: { targets: [node] }, quote_deadline: inMs(1_000 * seconds) });

interface Comeback {
  node: SellerNode;
  heard: { id: string; atMs: number }[];
  notices: CaughtUp[];
}

/** The SDK's node under an identity that was registered and away. */
async function comeBack({ id, key, natsUser }: Registered): Promise<Comeback> {
  const comeback: Omit<Comeback, "node"> = { heard: [], notices: [] };
  const node = createNode({ url: market.url, id, key, natsSeed: natsUser.seed });
  node.onIntent((intent, context) => {
    comeback.heard.push({ id: intent.id, atMs: performance.now() });
    return context.quote({ amountMinor: 1_000 });
  });
  node.on("caughtUp", (notice) => comeback.notices.push(notice));
  await node.start();
  return { node, ...comeback };
}

describe("a node that comes back", () => {
  test("hears what it missed and may still answer, the soonest deadline first, and its quotes count", async () => {
    const away = await market.register();
    const [later, sooner, cancelled] = [await toOne(away.id, 90), await toOne(away.id, 45), await toOne(away.id)];
    expect((await backend.call("POST", `/v1/intents/${cancelled}/cancel`)).status).toBe(200);
    const { node, heard, notices } = await comeBack(away);
    await eventually(() => notices.length > 0);
    expect(notices).toEqual([{ intents: 2, more: false }]);
    expect(heard.map(({ id }) => id)).toEqual([sooner, later]);
    for (const id of [later, sooner]) {
      expect(await market.ended(backend, id)).toBe("closed");
      expect(await stateOf(id, away.id)).toMatchObject({ status: "quoted", attempts: 1 });
    }
    await node.drain();
  });

  test("hears what it had only acknowledged, and nothing that it has answered", async () => {
    const raw = await connectRaw(market);
    const [acked, quoted] = [await toOne(raw.id), await toOne(raw.id)];
    raw.ack(await raw.hears(acked));
    const heard = await raw.hears(quoted);
    expect(await raw.ask(quoted, raw.quote(heard))).toMatchObject({ kind: "stored" });
    await eventually(async () => (await stateOf(acked, raw.id))?.status === "acked");
    await market.ended(backend, quoted);
    raw.publish(SUBJECTS.catchup(raw.id), request);
    await eventually(() => raw.heardOf("notice", "caught_up").length > 0);
    expect(raw.heardOf("intent", acked)).toHaveLength(2);
    expect(raw.heardOf("intent", quoted)).toHaveLength(1);
  });

  test("is not flooded", async () => {
    const away = await market.register();
    const count = 3 * LIMITS.catchUpPerSecond;
    for (let from = 0; from < count; from += 50) await Promise.all(Array.from({ length: 50 }, () => toOne(away.id)));
    const { node, heard, notices } = await comeBack(away);
    await eventually(() => notices.length > 0);
    expect(new Set(heard.map(({ id }) => id)).size).toBe(count);
    const tookMs = heard.at(-1)!.atMs - heard[0]!.atMs;
    expect(tookMs).toBeGreaterThan(1_000 * (count / LIMITS.catchUpPerSecond) * 0.8);
    await node.drain();
  }, 30_000);
});

describe("the request", () => {
  test("again and again costs one answer per five seconds", async () => {
    const raw = await connectRaw(market);
    const id = await toOne(raw.id);
    await raw.hears(id);
    for (let again = 0; again < 50; again++) raw.publish(SUBJECTS.catchup(raw.id), request);
    await eventually(() => raw.heardOf("notice", "caught_up").length > 0);
    raw.publish(SUBJECTS.catchup(raw.id), request);
    await sleep(800);
    expect(raw.heardOf("notice", "caught_up")).toHaveLength(1);
    expect(raw.heardOf("intent", id)).toHaveLength(2);
  });

  test("in any other form is no request", async () => {
    const raw = await connectRaw(market);
    const id = await toOne(raw.id);
    await raw.hears(id);
    const other = canonicalize({ protocol: PROTOCOL, version: "1999-01-01" });
    for (const text of ["", "{}", "x".repeat(300), other]) raw.publish(SUBJECTS.catchup(raw.id), text);
    await sleep(800);
    expect(raw.heardOf("notice", "caught_up")).toEqual([]);
    expect(raw.heardOf("intent", id)).toHaveLength(1);
  });
});

// Limits on real servers: what a backend may cause, what a node may send, and what they are told about it.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type QuoteAnswer, quoteId, STREAMS, SUBJECTS } from "@outcry/protocol";
import { anIntent, type Answer, type Backend, type Posted } from "./api-calls.js";
import { eventually, inMs, type Market, startMarket } from "./in-process.js";
import { connectRaw, type RawNode } from "./raw-node.js";

const DELIVERIES = 20;
const QUOTES = 5;
const QUOTE_BYTES = 20_000;

let market: Market;
let nodes: RawNode[];

beforeAll(async () => {
  market = await startMarket({
    quotas: { deliveriesPerMinute: DELIVERIES, deliveryBytesPerMinute: 1_000_000, acksPerMinute: 50 },
    nodeQuotas: { quotesPerMinute: QUOTES, quoteBytesPerMinute: QUOTE_BYTES },
  });
  nodes = [await connectRaw(market), await connectRaw(market)];
});
afterAll(() => market.stop());

const header = ({ headers }: Answer<unknown>, name: string): string => headers.get(name) ?? "";

/** `"deliveries";r=18;t=60, …` → 18 */
const leftOf = (answer: Answer<unknown>, policy: string): number =>
  Number(new RegExp(`"${policy}";r=(\\d+);t=\\d+`).exec(header(answer, "ratelimit"))?.[1]);

describe("a backend's deliveries", () => {
  let backend: Backend;
  const post = (targets: RawNode[], key?: string): Promise<Answer<Posted>> =>
    backend.post({ ...anIntent, routing: { targets: targets.map(({ id }) => id) } }, key);

  beforeAll(async () => {
    backend = await market.backend();
  });

  test("are told with each answer: the policies, what this one cost, what is left", async () => {
    const answer = await post(nodes, "first");
    expect(answer.status).toBe(202);
    expect(header(answer, "ratelimit-policy")).toBe(`"deliveries";q=${DELIVERIES};w=60, "bytes";q=1000000;w=60`);
    expect(leftOf(answer, "deliveries")).toBe(DELIVERIES - 2);
    const stored = await market.last(STREAMS.intents, SUBJECTS.intent(answer.body.id));
    const { envelope } = JSON.parse(new TextDecoder().decode(stored!.data)) as { envelope: string };
    const bytes = 2 * Buffer.byteLength(envelope);
    expect(header(answer, "outcry-cost")).toBe(`deliveries=2, bytes=${bytes}`);
    expect(leftOf(answer, "bytes")).toBe(1_000_000 - bytes);
  });

  test("are told with refusals too, which cost nothing", async () => {
    const answer = await backend.post({ ...anIntent, line_items: [] });
    expect([answer.status, header(answer, "outcry-cost")]).toEqual([400, "deliveries=0, bytes=0"]);
    expect(leftOf(answer, "deliveries")).toBe(DELIVERIES - 2);
  });

  test("over the limit are refused before anything is recorded, and a replay is answered as before", async () => {
    while ((await post(nodes)).status === 202);
    const { lastSeq } = await headOf(STREAMS.intents);
    const refused = await post(nodes, "over");
    expect([refused.status, refused.body.code]).toEqual([429, "rate_limited"]);
    expect(refused.body.detail).toMatch(/^This intent costs 2 deliveries; [01] of 20 per minute are left\.$/);
    expect(Number(header(refused, "retry-after"))).toBeGreaterThan(0);
    expect(header(refused, "outcry-cost")).toBe("deliveries=0, bytes=0");
    expect((await headOf(STREAMS.intents)).lastSeq).toBe(lastSeq);

    const replay = await post(nodes, "first");
    expect([replay.status, header(replay, "idempotent-replayed")]).toEqual([202, "true"]);
    expect(header(replay, "outcry-cost")).toBe("deliveries=0, bytes=0");
    const mismatch = await backend.post(anIntent, "first");
    expect([mismatch.status, mismatch.body.code]).toEqual([409, "idempotency_mismatch"]);
  });

  test("of one backend leave another's alone", async () => {
    const other = await market.backend("other");
    const answer = await other.post({ ...anIntent, routing: { targets: [nodes[0]!.id] } });
    expect([answer.status, leftOf(answer, "deliveries")]).toEqual([202, DELIVERIES - 1]);
  });

  test("are charged once for twenty posts of one key at once", async () => {
    const other = await market.backend("at once");
    const routing = { targets: [nodes[0]!.id] };
    const answers = await Promise.all(
      Array.from({ length: DELIVERIES }, () => other.post({ ...anIntent, routing }, "one")),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    const after = await other.post({ ...anIntent, line_items: [] });
    expect(leftOf(after, "deliveries")).toBe(DELIVERIES - 1);
  });
});

async function headOf(stream: string): Promise<{ lastSeq: number }> {
  return { lastSeq: (await market.manager.streams.info(stream)).state.last_seq };
}

describe("a node's quotes", () => {
  let backend: Backend;
  let id: string;
  beforeAll(async () => {
    backend = await market.backend("quoted");
    id = await backend.broadcast({ ...anIntent, routing: { targets: nodes.map((node) => node.id) } });
  });

  test("beyond its rate are refused for a while, with the time to come again, and not appended", async () => {
    const [node] = nodes as [RawNode];
    const quote = node.quote(await node.hears(id));
    const answers: QuoteAnswer[] = [];
    for (let nth = 0; nth < QUOTES + 2; nth++) answers.push(await node.ask(id, quote));
    expect(answers.slice(0, QUOTES).map(({ kind }) => kind)).toEqual(Array.from({ length: QUOTES }, () => "stored"));
    for (const answer of answers.slice(QUOTES)) {
      expect(answer).toMatchObject({ kind: "refused", code: "rate_limited", temporary: true });
      expect((answer as { retry_after_ms?: number }).retry_after_ms).toBeGreaterThan(0);
    }
    expect(await market.stored(STREAMS.quotes, SUBJECTS.quote(id, node.id, quoteId(id, node.id, 0)))).toHaveLength(1);
  });

  test("of one node leave another's alone", async () => {
    const [, node] = nodes as [RawNode, RawNode];
    expect(await node.ask(id, node.quote(await node.hears(id)))).toMatchObject({ kind: "stored" });
  });
});

describe("@outcry/node", () => {
  test("sends a refused quote again when it was told to, and not before", async () => {
    const fast = await startMarket({ nodeQuotas: { quotesPerMinute: 2 } });
    try {
      const outcomes: string[] = [];
      const seller = await fast.seller(async (_intent, context) =>
        [1, 2, 3].map((nth) => context.quote({ amountMinor: nth })),
      );
      seller.on("quote", ({ outcome }) => outcomes.push(outcome.kind));
      const backend = await fast.backend();
      await backend.broadcast({ ...anIntent, quote_deadline: inMs(3_000) });
      await eventually(() => outcomes.length === 3);
      expect(outcomes.toSorted()).toEqual(["stored", "stored", "unconfirmed"]);
      expect(fast.counts["answered refused rate_limited"]).toBe(1); // told once: it did not ask again
    } finally {
      await fast.stop();
    }
  });
});

test("acks of a node beyond any reason are dropped before they are read", async () => {
  const [node] = nodes as [RawNode];
  for (let nth = 0; nth < 100; nth++) node.publish(SUBJECTS.ack(node.id, `int_${"0".repeat(26)}`), "{}");
  await eventually(() => (market.counts["ackRefused rate_limited"] ?? 0) >= 50);
});

describe("a node's share of QUOTES", () => {
  test("bounds what it may store within the retention; the other nodes still find room", async () => {
    const small = await startMarket({ nodeQuotas: { quotesSharePercent: 1 } });
    try {
      // The share follows max_bytes at the start of the process: 1 % of 1 GiB would take thousands of quotes.
      await small.manager.streams.update(STREAMS.quotes, { max_bytes: 2_000_000 });
      await small.restartIntake();
      const backend = await small.backend();
      const [greedy, modest] = [await connectRaw(small), await connectRaw(small)];
      const terms = "x".repeat(2_000);
      const stored: number[] = [];
      let refused: QuoteAnswer | undefined;
      while (refused === undefined) {
        const id = await backend.broadcast({ ...anIntent, routing: { targets: [greedy.id, modest.id] } });
        const quote = greedy.quote(await greedy.hears(id), { amountMinor: 1, terms });
        const answer = await greedy.ask(id, quote);
        if (answer.kind === "stored") stored.push(quote.bytes.length);
        else refused = answer;
        expect(await modest.ask(id, modest.quote(await modest.hears(id)))).toMatchObject({ kind: "stored" });
      }
      expect(refused).toMatchObject({ code: "rate_limited", temporary: true });
      const bytes = stored.reduce((sum, one) => sum + one, 0);
      expect(bytes).toBeGreaterThan(10_000);
      expect(bytes).toBeLessThanOrEqual(20_000);
    } finally {
      await small.stop();
    }
  });
});

test("while Redis is away the quotas hold in each process, and POST is answered", async () => {
  const alone = await startMarket({ quotas: { deliveriesPerMinute: 5 } });
  try {
    const node = await connectRaw(alone);
    const backend = await alone.backend();
    await alone.brokers.redis.kill9();
    await eventually(() => !alone.broadcast.platform.redis.health.up);
    const statuses: number[] = [];
    for (let nth = 0; nth < 7; nth++)
      statuses.push((await backend.post({ ...anIntent, routing: { targets: [node.id] } })).status);
    expect(statuses).toEqual([202, 202, 202, 202, 202, 429, 429]);
    await alone.brokers.redis.restart();
    await eventually(() => alone.broadcast.platform.redis.health.up);
    expect((await backend.post({ ...anIntent, routing: { targets: [node.id] } })).status).toBe(429);
  } finally {
    await alone.stop();
  }
});

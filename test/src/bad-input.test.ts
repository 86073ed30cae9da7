// Hostile text from both sides, on real servers: HTTP bodies that no client should send. Each gets its code, nothing answers 5xx, nothing changes, and the service goes on.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Problem, STREAMS, SUBJECTS } from "@outcry/protocol";
import { hasCorpus, jsonFilesUnder } from "./corpus-files.js";
import { anIntent, type Answer, type Backend } from "./api-calls.js";
import { type Body, nastyBodies, ownBodies, PARSER_SUITE, TRANSFORM_SUITE } from "./hostile-bodies.js";
import { eventually, type Market, startMarket } from "./in-process.js";
import { connectRaw, type RawNode } from "./raw-node.js";

let market: Market;
let backend: Backend;
let node: RawNode;

beforeAll(async () => {
  market = await startMarket();
  backend = await market.backend();
  node = await connectRaw(market);
});
afterAll(() => market.stop());

const ownCounts = {
  json_syntax: 3,
  json_duplicate_key: 2,
  json_forbidden_key: 1,
  json_unsafe_integer: 1,
  json_non_finite: 1,
  json_lone_surrogate: 1,
  json_too_deep: 1,
  json_invalid_utf8: 1,
  json_too_large: 1,
};

const nastyCounts = {
  json_duplicate_key: 2,
  json_forbidden_key: 2,
  json_lone_surrogate: 1,
  json_non_finite: 1,
  json_syntax: 1,
  json_too_deep: 1,
  json_too_large: 3,
  json_unsafe_integer: 1,
};
const parserCounts = {
  json_duplicate_key: 2,
  json_invalid_utf8: 25,
  json_lone_surrogate: 10,
  json_non_finite: 5,
  json_syntax: 175,
  json_too_deep: 1,
  json_too_large: 2,
  json_unsafe_integer: 8,
};
const transformCounts = { json_duplicate_key: 3, json_invalid_utf8: 3, json_lone_surrogate: 3, json_unsafe_integer: 5 };

/** Within a good intent, where a reader that knows no such field must skip it. */
function hiddenInAnIntent({ name, bytes }: Body): Body {
  const [head, tail] = JSON.stringify({ ...anIntent, note: 0 }).split('"note":0');
  return { name, bytes: Buffer.concat([Buffer.from(`${head}"note":`), bytes, Buffer.from(tail!)]) };
}

/** Posts every body; how many were answered with which code. */
async function answersTo(bodies: readonly Body[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { name, bytes } of bodies) {
    const answer = (await backend.post(bytes)) as Answer<unknown> as Answer<Problem>;
    const code = answer.status === 202 ? "accepted" : answer.body.code;
    if (answer.status !== 202) {
      expect([name, answer.status, answer.headers.get("content-type")]).toEqual([
        name,
        answer.body.status,
        "application/problem+json",
      ]);
      expect(answer.body.status).toBeLessThan(500);
      expect(answer.body.request_id).toBe(answer.headers.get("x-request-id"));
    }
    counts[code] = (counts[code] ?? 0) + 1;
  }
  return counts;
}

interface Set {
  bodies: readonly Body[];
  /** How many are refused with which code, as bodies of their own and as a value within an intent. */
  refused: Record<string, number>;
  /** How many are JSON: alone no intent, in an unknown field of no interest. */
  valid?: number;
}

const sets: [string, () => Set][] = [["our own", () => ({ bodies: ownBodies, refused: ownCounts })]];
if (hasCorpus) {
  sets.push(
    ["nasty-json.jsonl", () => ({ bodies: nastyBodies(), refused: nastyCounts, valid: 18 })],
    ["the JSON parser suite", () => ({ bodies: jsonFilesUnder(PARSER_SUITE), refused: parserCounts, valid: 90 })],
    [
      "the JSON transformation suite",
      () => ({ bodies: jsonFilesUnder(TRANSFORM_SUITE), refused: transformCounts, valid: 8 }),
    ],
  );
}

describe("POST /v1/intents", () => {
  test.each(sets)("answers each hostile body of %s with the code of what is wrong", async (_name, set) => {
    const { bodies, refused, valid } = set();
    expect(await answersTo(bodies)).toEqual({ ...refused, ...(valid && { validation_failed: valid }) });
  });

  test.each(sets)("reads %s in an unknown field as strictly, and ignores what is only strange", async (_name, set) => {
    const { bodies, refused, valid } = set();
    expect(await answersTo(bodies.map(hiddenInAnIntent))).toEqual({ ...refused, ...(valid && { accepted: valid }) });
  });

  test("names every place that is wrong at once", async () => {
    const wrong = {
      line_items: [
        { query: "" },
        { quantity: 0 },
        { query: "x", gtin: "12", constraints: [{ name: "size", operator: "like", value: 1 }] },
      ],
      context: { currency: "euro", region: "Germany" },
      budget: { max_minor: 0.5 },
      quote_deadline: "tomorrow",
      quotes_per_node_max: 17,
      buyer_id: "a b",
      routing: { targets: ["nod_*"] },
    };
    const { status, body: problem } = await backend.post(wrong);
    expect([status, problem.code]).toEqual([400, "validation_failed"]);
    expect([...new Set(problem.errors.map(({ pointer }) => pointer))].toSorted()).toEqual([
      "/budget/max_minor",
      "/buyer_id",
      "/context/currency",
      "/context/region",
      "/line_items/0/query",
      "/line_items/1/quantity",
      "/line_items/1/query",
      "/line_items/2/constraints/0/operator",
      "/line_items/2/gtin",
      "/quote_deadline",
      "/quotes_per_node_max",
      "/routing/targets/0",
    ]);
  });

  test("takes no other content type and no encoding", async () => {
    const key = { "idempotency-key": "k" };
    const text = JSON.stringify(anIntent);
    const post = (headers: Record<string, string>) => backend.call("POST", "/v1/intents", text, { ...key, ...headers });
    const foreign = [
      ["content-type", "text/plain"],
      ["content-type", "application/x-www-form-urlencoded"],
      ["content-encoding", "gzip"],
    ] as const;
    for (const [name, value] of foreign) {
      const { status, body: problem } = await post({ [name]: value });
      expect([status, problem.code]).toEqual([415, "media_type_unsupported"]);
    }
    expect((await post({})).status).toBe(202);
  });

  test("still takes a good intent, and recorded nothing of the refused ones", async () => {
    const recorded = (await market.stored(STREAMS.intents, SUBJECTS.allIntents)).length;
    const id = await backend.broadcast({});
    await node.hears(id);
    expect(await market.stored(STREAMS.intents, SUBJECTS.allIntents)).toHaveLength(recorded + 1);
  });
});

test("nothing of all this is stuck, set aside or logged as an error", async () => {
  await eventually(async () => Object.keys(await market.backlog()).length === 0);
  expect(await market.stored(STREAMS.deadLetters)).toEqual([]);
  expect(market.logs.filter(({ level }) => level === "error")).toEqual([]);
  expect(({} as { role?: string }).role).toBeUndefined();
});

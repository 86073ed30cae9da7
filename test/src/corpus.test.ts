// Every JSON of the test data on its whole way: parseStrict → canonicalize → parseCanonical → sign → verify. What is refused is counted by code.
// Where the data is absent a generated, seeded set takes the same way.

import { describe, expect, test } from "@jest/globals";
import { canonicalize, LIMITS, parseCanonical, type Parsed, parseStrict } from "@outcry/protocol";
import { keySource, signEnvelope, signingKeyOf, verificationKey, verifyEnvelope } from "@outcry/signing";
import fc from "fast-check";
import { hasCorpus, jsonFilesUnder, readData } from "./corpus-files.js";

const limits = { bytesMax: LIMITS.recordBytesMax };
const key = signingKeyOf(new Uint8Array(32).fill(7));
const keys = keySource([verificationKey(key, "nod_corpus")]);

interface Body {
  name: string;
  bytes: Uint8Array;
}
const bodyOf = (name: string, text: string): Body => ({ name, bytes: new TextEncoder().encode(text) });

/** The end of one body's way: "ok", or the code that refused it. Throws when the chain breaks behind parseStrict. */
function journey({ name, bytes }: Body, bodyLimits: { bytesMax?: number }): string {
  const first: Parsed = parseStrict(bytes, bodyLimits);
  if (first.kind === "refused") {
    expect(parseCanonical(bytes, bodyLimits)).toEqual(first);
    return first.code;
  }
  const again = canonicalize(first.value);
  const second = parseCanonical(again, limits);
  if (second.kind === "refused")
    throw new Error(`${name}: canonicalize wrote what parseCanonical refuses: ${second.code}, ${second.detail}`);
  expectSame(name, canonicalize(second.value), again);
  const envelope = canonicalize({ type: "corpus", sender: { id: "nod_corpus" }, payload: first.value });
  const { jws } = signEnvelope(envelope, "corpus", key);
  const verdict = verifyEnvelope(envelope, jws, keys, limits);
  if (verdict.kind === "refused") throw new Error(`${name}: signed and refused: ${verdict.code}, ${verdict.detail}`);
  expectSame(name, canonicalize(verdict.envelope["payload"]), again);
  const bent = Uint8Array.from(envelope);
  bent[envelope.length >> 1]! ^= 1;
  expect(verifyEnvelope(bent, jws, keys, limits).kind).toBe("refused");
  return "ok";
}

// Jest's own equality takes seconds on documents of this size.
function expectSame(name: string, one: Uint8Array, other: Uint8Array): void {
  if (Buffer.compare(one, other) !== 0) throw new Error(`${name}: the bytes came back changed`);
}

function outcomes(
  bodies: Body[],
  bodyLimits: { bytesMax?: number } = limits,
): { counts: Record<string, number>; ends: Map<string, string> } {
  const ends = new Map(bodies.map((body) => [body.name, journey(body, bodyLimits)]));
  const counts: Record<string, number> = {};
  for (const end of ends.values()) counts[end] = (counts[end] ?? 0) + 1;
  return { counts, ends };
}

const refusedIn = (ends: Map<string, string>): Record<string, string> =>
  Object.fromEntries([...ends].filter(([, end]) => end !== "ok"));

const named = (folder: string, codes: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(codes).map(([name, code]) => [`${folder}${name}.json`, code]));

const sets: Record<string, { counts: Record<string, number>; refused: Record<string, string> }> = {
  commerce: {
    counts: { ok: 375, json_unsafe_integer: 2 },
    refused: {
      "commerce/negotiation/concordia/conformance/vectors/fixtures/synthetic/predicate/vector_08.json":
        "json_unsafe_integer",
      "commerce/negotiation/concordia/conformance/vectors/positive/pos-synthetic-predicate-vector-08.json":
        "json_unsafe_integer",
    },
  },
  jcs: {
    counts: { ok: 10, json_unsafe_integer: 2 }, // both hold 1E30
    refused: { "jcs/input/values.json": "json_unsafe_integer", "jcs/output/values.json": "json_unsafe_integer" },
  },
  ed25519: { counts: { ok: 4 }, refused: {} },
  jose: { counts: { ok: 6 }, refused: {} },
  "security/blns": { counts: { ok: 2 }, refused: {} },
  "security/jsontestsuite/test_transform": {
    counts: { ok: 8, json_unsafe_integer: 5, json_duplicate_key: 3, json_lone_surrogate: 3, json_invalid_utf8: 3 },
    refused: named("security/jsontestsuite/test_transform/", {
      "number_-9223372036854775808": "json_unsafe_integer",
      "number_-9223372036854775809": "json_unsafe_integer",
      number_10000000000000000999: "json_unsafe_integer",
      number_9223372036854775807: "json_unsafe_integer",
      number_9223372036854775808: "json_unsafe_integer",
      object_same_key_different_values: "json_duplicate_key",
      object_same_key_same_value: "json_duplicate_key",
      object_same_key_unclear_values: "json_duplicate_key",
      string_1_escaped_invalid_codepoint: "json_lone_surrogate",
      string_2_escaped_invalid_codepoints: "json_lone_surrogate",
      string_3_escaped_invalid_codepoints: "json_lone_surrogate",
      string_1_invalid_codepoint: "json_invalid_utf8",
      string_2_invalid_codepoints: "json_invalid_utf8",
      string_3_invalid_codepoints: "json_invalid_utf8",
    }),
  },
};

// JSONTestSuite's y_ files that RFC 8259 allows and we refuse: repeated keys, and numbers beyond 2^53 − 1 by value.
const STRICTER = {
  y_number: "json_unsafe_integer",
  y_number_real_capital_e: "json_unsafe_integer",
  y_number_real_exponent: "json_unsafe_integer",
  y_number_real_fraction_exponent: "json_unsafe_integer",
  y_object_duplicated_key: "json_duplicate_key",
  y_object_duplicated_key_and_value: "json_duplicate_key",
  y_object_extreme_numbers: "json_unsafe_integer",
};

function testCorpus(): void {
  test.each(Object.entries(sets))("%s", (name, expected) => {
    const { counts, ends } = outcomes(jsonFilesUnder(name));
    expect(counts).toEqual(expected.counts);
    expect(refusedIn(ends)).toEqual(expected.refused);
  });

  test("JSONTestSuite: every y_ but seven, no n_, and of the i_ only two that are exact in value", () => {
    const files = jsonFilesUnder("security/jsontestsuite/test_parsing").map(({ name, bytes }) => ({
      name: name.slice(36, -5),
      bytes,
    }));
    const kind = (letter: string) => outcomes(files.filter(({ name }) => name.startsWith(`${letter}_`)));
    expect(kind("y").counts).toEqual({ ok: 88, json_unsafe_integer: 5, json_duplicate_key: 2 });
    expect(refusedIn(kind("y").ends)).toEqual(STRICTER);
    expect(kind("n").counts).toEqual({ json_syntax: 174, json_invalid_utf8: 12, json_too_deep: 2 });
    expect(kind("i").counts).toEqual({
      ok: 2, // i_number_double_huge_neg_exp and i_number_real_underflow: both are 0
      json_non_finite: 5,
      json_unsafe_integer: 3,
      json_lone_surrogate: 10,
      json_invalid_utf8: 13,
      json_too_deep: 1,
      json_syntax: 1, // a byte order mark
    });
  });

  test("hostile request bodies, under the limits of a request", () => {
    const lines = readData("security/nasty-json.jsonl").trimEnd().split("\n");
    const bodies = lines.map((line) => JSON.parse(line) as { name: string; body: string });
    const { counts, ends } = outcomes(
      bodies.map(({ name, body }) => bodyOf(name, body)),
      {},
    );
    expect(counts).toEqual({
      ok: 18,
      json_duplicate_key: 2,
      json_forbidden_key: 2,
      json_unsafe_integer: 1,
      json_non_finite: 1,
      json_lone_surrogate: 1,
      json_syntax: 1,
      json_too_deep: 1,
      json_too_large: 3,
    });
    expect(refusedIn(ends)).toMatchObject({
      bom: "json_syntax",
      "depth-3000": "json_too_deep",
      "depth-100k": "json_too_large",
    });
    const large = bodies.filter(({ name }) => ["depth-100k", "wide-100k", "long-key"].includes(name));
    expect(outcomes(large.map(({ name, body }) => bodyOf(name, body))).ends).toEqual(
      new Map([
        ["depth-100k", "json_too_deep"],
        ["wide-100k", "json_too_large"],
        ["long-key", "ok"],
      ]),
    );
    expect(({} as Record<string, unknown>)["isAdmin"]).toBeUndefined();
  });

  test("naughty strings, as values and as keys", () => {
    const plain = JSON.parse(readData("security/blns/blns.json")) as string[];
    const encoded = JSON.parse(readData("security/blns/blns.base64.json")) as string[];
    const texts = [...plain, ...encoded.map((text) => Buffer.from(text, "base64").toString("utf8"))];
    const bodies = texts.map((text, nth) =>
      bodyOf(String(nth), JSON.stringify({ value: text, [`key ${text}`]: nth, [text]: text })),
    );
    expect(texts.length).toBe(1_191);
    expect(outcomes(bodies).counts).toEqual({ ok: 1_191 });
  });
}

/** One body per refusal, around seeded JSON. */
const BREAKS: Record<string, (text: string, nth: number) => Body> = {
  ok: (text, nth) => bodyOf(`ok ${nth}`, text),
  json_duplicate_key: (text, nth) => bodyOf(`duplicate ${nth}`, `{"k":${text},"\\u006b":${text}}`),
  json_forbidden_key: (text, nth) => bodyOf(`forbidden ${nth}`, `[{"__proto__":${text}}]`),
  json_unsafe_integer: (text, nth) => bodyOf(`unsafe ${nth}`, `[${text},${2 ** 53 + 2 * nth}]`),
  json_non_finite: (text, nth) => bodyOf(`non-finite ${nth}`, `[${text},1e${309 + nth}]`),
  json_lone_surrogate: (text, nth) =>
    bodyOf(`surrogate ${nth}`, `[${text},"\\ud8${(nth % 100).toString().padStart(2, "0")}"]`),
  json_invalid_utf8: (text, nth) => ({
    name: `utf8 ${nth}`,
    bytes: Uint8Array.of(...bodyOf("", text).bytes, 0x80 + (nth % 64)),
  }),
  json_syntax: (text, nth) => bodyOf(`syntax ${nth}`, `[${text},]`),
  json_too_deep: (text, nth) => bodyOf(`deep ${nth}`, "[".repeat(33 + nth) + text),
  json_too_large: (text, nth) => bodyOf(`large ${nth}`, text + " ".repeat(LIMITS.recordBytesMax)),
};

function testGenerated(): void {
  test("100 seeded values whole, and broken in each way that has a code", () => {
    const value = fc.jsonValue({ maxDepth: 4 }).filter((json) => !/__proto__|e\+|\d{16}/.test(JSON.stringify(json)));
    const texts = fc.sample(value, { seed: 8_785, numRuns: 100 }).map((json) => JSON.stringify(json));
    const bodies = Object.entries(BREAKS).flatMap(([code, broken]) =>
      texts.slice(0, code === "json_too_large" ? 5 : 100).map((text, nth) => broken(text, nth)),
    );
    const expected = Object.keys(BREAKS).map((code) => [code, code === "json_too_large" ? 5 : 100]);
    expect(outcomes(bodies).counts).toEqual(Object.fromEntries(expected));
  });
}

describe("the way of every JSON of the test data, or else of generated JSON", () => {
  if (hasCorpus) testCorpus();
  testGenerated();
});

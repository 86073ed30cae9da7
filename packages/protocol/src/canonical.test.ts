import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { canonicalText, canonicalize } from "./canonical.js";

interface Vectors {
  pairs: { name: string; input: string; output: string; outhex: string }[];
  numbers: { ieee: string; text: string | null }[];
}
const vectors = JSON.parse(readFileSync(new URL("../vectors/rfc8785.json", import.meta.url), "utf8")) as Vectors;

const doubleOf = (ieee: string): number => {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(`0x${ieee}`));
  return view.getFloat64(0);
};

describe("RFC 8785 vectors", () => {
  test.each(vectors.pairs.filter(({ name }) => name !== "values"))(
    "$name comes out byte for byte",
    ({ input, outhex }) => {
      expect(Buffer.from(canonicalize(JSON.parse(input))).toString("hex")).toBe(outhex);
    },
  );

  test("values comes out byte for byte but for 1E30, which is beyond 2^53 − 1 and refused", () => {
    const { input, output } = vectors.pairs.find(({ name }) => name === "values")!;
    expect(() => canonicalText(JSON.parse(input))).toThrow(/\/numbers: \/1: 1e\+30 is beyond/);
    expect(canonicalText(JSON.parse(input.replace("1E30, ", "")))).toBe(output.replace("1e+30,", ""));
  });

  test.each(vectors.numbers)("the double $ieee is written $text or refused", ({ ieee, text }) => {
    const value = doubleOf(ieee);
    if (text === null || Math.abs(value) > Number.MAX_SAFE_INTEGER)
      expect(() => canonicalText(value)).toThrow(TypeError);
    else expect(canonicalText(value)).toBe(text);
  });
});

describe("values that JSON cannot carry are refused, never dropped or bent", () => {
  class Money {
    amount = 1;
  }
  const circular: Record<string, unknown> = {};
  circular["self"] = circular;
  let deep: unknown = 1;
  for (let level = 0; level < 33; level++) deep = [deep];
  // oxlint-disable-next-line no-sparse-arrays -- the hole is what is tested
  const sparse = [, 1];

  test.each<[string, unknown]>([
    ["undefined", undefined],
    ["an undefined member", { a: undefined }],
    ["a function", () => 1],
    ["a function member", { toJSON: () => "x" }],
    ["a symbol", [Symbol("s")]],
    ["a bigint", { a: 1n }],
    ["a Map", new Map([["a", 1]])],
    ["a Set", { a: new Set([1]) }],
    ["bytes", new Uint8Array([1, 2])],
    ["a Buffer", Buffer.from("x")],
    ["a Date", [new Date(0)]],
    ["a boxed string", Object("x")],
    ["an instance of a class", new Money()],
    ["a sparse array", sparse],
    ["NaN", Number.NaN],
    ["infinity", { a: [-Infinity] }],
    ["2^53", 2 ** 53],
    ["an own __proto__ key", JSON.parse('{"__proto__":1}')],
    ["an unpaired surrogate", { a: "\ud800" }],
    ["an unpaired surrogate in a key", { "\udc00": 1 }],
    ["a circular value", circular],
    ["33 levels", deep],
  ])("%s", (_name, value) => {
    expect(() => canonicalize(value)).toThrow(TypeError);
  });

  test("the error names the path to the fault", () => {
    expect(() => canonicalize({ a: [{ b: undefined }] })).toThrow("canonicalize: /a: /0: /b: undefined is not JSON");
  });
});

describe("values that may look odd are carried", () => {
  test("minus zero is 0, keys named like inherited members stay, null prototypes are plain", () => {
    expect(canonicalText(-0)).toBe("0");
    expect(canonicalText({ toString: 1, constructor: 2, toJSON: "x" })).toBe(
      '{"constructor":2,"toJSON":"x","toString":1}',
    );
    expect(canonicalText(Object.assign(Object.create(null), { b: 1, a: 2 }))).toBe('{"a":2,"b":1}');
  });

  test("the same object may stand in two places", () => {
    const shared = { a: 1 };
    expect(canonicalText([shared, shared])).toBe('[{"a":1},{"a":1}]');
  });

  test("canonical text is a fixed point and insertion order does not matter (property)", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: "grapheme" }), fc.oneof(fc.string(), fc.maxSafeInteger(), fc.boolean())),
        (record) => {
          fc.pre(!Object.hasOwn(record, "__proto__"));
          const text = canonicalText(record);
          expect(canonicalText(JSON.parse(text))).toBe(text);
          expect(canonicalText(Object.fromEntries(Object.entries(record).toReversed()))).toBe(text);
        },
      ),
    );
  });
});

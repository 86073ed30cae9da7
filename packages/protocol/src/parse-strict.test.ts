import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { canonicalize, canonicalText } from "./canonical.js";
import { parseCanonical, parseStrict } from "./parse-strict.js";

const encoder = new TextEncoder();
const strict = (text: string, limits = {}) => parseStrict(encoder.encode(text), limits);
const canonical = (text: string, limits = {}) => parseCanonical(encoder.encode(text), limits);
const verdict = (result: ReturnType<typeof parseStrict>) => (result.kind === "ok" ? "ok" : result.code);

describe("parseStrict refuses, with a code and the place", () => {
  test.each([
    ["a repeated key", '{"a":1,"b":2,"a":3}', "json_duplicate_key", 'key "a" at character 13'],
    [
      "a repeated key behind an escape",
      '{"amount":1,"\\u0061mount":2}',
      "json_duplicate_key",
      'key "amount" at character 12',
    ],
    [
      "a repeated key whose name is inherited",
      '{"constructor":1,"constructor":2}',
      "json_duplicate_key",
      'key "constructor" at character 17',
    ],
    ["__proto__", '{"__proto__":{}}', "json_forbidden_key", 'key "__proto__" at character 1'],
    ["__proto__ behind an escape", '{"\\u005f_proto__":1}', "json_forbidden_key", 'key "__proto__" at character 1'],
    ["an integer beyond 2^53 − 1", '{"a":9007199254740993}', "json_unsafe_integer", "the number at character 5"],
    ["2^53 itself", "-9007199254740992", "json_unsafe_integer", "the number at character 0"],
    [
      "an unsafe integer spelt with a fraction",
      "9007199254740993.5",
      "json_unsafe_integer",
      "the number at character 0",
    ],
    ["an unsafe integer spelt with an exponent", "1e22", "json_unsafe_integer", "the number at character 0"],
    ["a number beyond the doubles", "[1e400]", "json_non_finite", "the number at character 1"],
    ["an unpaired surrogate", '["\\ud800"]', "json_lone_surrogate", "the string at character 1"],
    ["an unpaired surrogate in a key", '{"\\udc00":1}', "json_lone_surrogate", "the string at character 1"],
    ["a reversed pair", '"\\udc00\\ud800"', "json_lone_surrogate", "the string at character 0"],
    ["a byte order mark", "\ufeff{}", "json_syntax", "byte order mark at character 0"],
    ["nothing", "", "json_syntax", "no value: the text ends at character 0"],
    ["two values", "1 2", "json_syntax", "text after the value at character 2"],
    ["a trailing comma", "[1,]", "json_syntax", "no value at character 3"],
    ["a leading zero", "01", "json_syntax", "text after the value at character 1"],
    [
      "a raw line feed in a string",
      '"a\nb"',
      "json_syntax",
      "unterminated string or raw control character at character 2",
    ],
    [
      "a raw line feed behind an escape",
      '"\\t\n"',
      "json_syntax",
      "malformed escape or raw control character in the string at character 0",
    ],
    [
      "an unfinished string",
      '"abc',
      "json_syntax",
      "unterminated string or raw control character: the text ends at character 4",
    ],
    ["an unfinished escape", '"abc\\', "json_syntax", "unterminated string: the text ends at character 6"],
    ["a constant of another language", "[NaN]", "json_syntax", "no value at character 1"],
  ])("%s", (_name, text, code, detail) => {
    expect(strict(text)).toEqual({ kind: "refused", code, detail });
    expect(canonical(text)).toEqual({ kind: "refused", code, detail });
  });

  test("text that is not UTF-8, naming the byte", () => {
    const bytes = Uint8Array.of(0x22, 0xc3, 0xa9, 0xed, 0xa0, 0x80, 0x22); // "é and an encoded surrogate
    expect(parseStrict(bytes)).toEqual({ kind: "refused", code: "json_invalid_utf8", detail: "byte 3 is not UTF-8" });
    expect(verdict(parseStrict(Uint8Array.of(0x22, 0xef, 0xbf, 0xbd, 0x22)))).toBe("ok"); // U+FFFD itself
  });

  test("more bytes than allowed, before reading any", () => {
    expect(strict("[1,2,3]", { bytesMax: 6 })).toEqual({
      kind: "refused",
      code: "json_too_large",
      detail: "7 bytes; the limit is 6",
    });
    expect(verdict(parseStrict(new Uint8Array(65_537)))).toBe("json_too_large");
  });

  test("more than 32 levels, also 100,000 of them and whatever limit is asked for", () => {
    const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
    expect(verdict(strict(nested(32)))).toBe("ok");
    expect(verdict(strict(nested(33)))).toBe("json_too_deep");
    expect(verdict(strict(nested(3), { depthMax: 2 }))).toBe("json_too_deep");
    expect(verdict(strict("[".repeat(100_000), { bytesMax: 1e6, depthMax: 1e6 }))).toBe("json_too_deep");
    expect(verdict(strict('{"a":'.repeat(50_000), { bytesMax: 1e6 }))).toBe("json_too_deep");
  });
});

describe("parseStrict accepts", () => {
  test("white space, any key order, every escape, the largest safe integers", () => {
    const text =
      ' { "b" : [ true , false , null ] ,\t"a":"\\"\\\\\\/\\b\\f\\n\\r\\t\\ud83d\\ude02" ,\r\n"n":[9007199254740991,-9007199254740991,1.5e-3] } ';
    expect(strict(text)).toEqual({ kind: "ok", value: JSON.parse(text) });
  });

  test("minus zero in every spelling as 0", () => {
    for (const text of ["-0", "-0.0", "-0e5", "-1e-400"]) {
      const result = strict(text);
      expect(result).toEqual({ kind: "ok", value: 0 });
      expect(verdict(canonical(text))).toBe("json_not_canonical");
    }
  });

  test("keys named like inherited members, without touching any prototype", () => {
    const result = strict('{"constructor":{"prototype":{"isAdmin":true}},"toString":1}');
    expect(result.kind).toBe("ok");
    expect(({} as Record<string, unknown>)["isAdmin"]).toBeUndefined();
  });
});

describe("parseCanonical", () => {
  test.each([
    ["white space", '{"a": 1}', 5],
    ["a trailing line feed", "[]\n", 2],
    ["keys out of order", '{"b":1,"a":2}', 7],
    ["numeric-looking keys in numeric order", '{"2":1,"10":2}', 7],
    ["an escaped solidus", '"\\/"', 0],
    ["an escape where the character stands for itself", '["\\u0061"]', 1],
    ["an upper-case escape", '"\\u001F"', 0],
    ["a long escape of a short one", '"\\u000a"', 0],
    ["1.0", "1.0", 0],
    ["an exponent", "[1e3]", 1],
    ["a plus in the exponent left out", "1e-07", 0],
  ])("refuses %s and names where", (_name, text, at) => {
    expect(verdict(strict(text))).toBe("ok");
    const detail = `RFC 8785 spells it differently at character ${at}`;
    expect(canonical(text)).toEqual({ kind: "refused", code: "json_not_canonical", detail });
  });

  test("names the graver fault when the text is also not canonical", () => {
    expect(verdict(canonical('{ "b":1, "a":1, "b":2 }'))).toBe("json_duplicate_key");
  });

  test("sorts by UTF-16 code unit: U+1F600 before U+FB33", () => {
    expect(verdict(canonical('{"\u{1f600}":1,"\ufb33":2}'))).toBe("ok");
    expect(verdict(canonical('{"\ufb33":2,"\u{1f600}":1}'))).toBe("json_not_canonical");
  });
});

const number = fc.oneof(fc.maxSafeInteger(), fc.double({ noNaN: true, min: -(2 ** 53 - 1), max: 2 ** 53 - 1 }));
const key = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary" }),
  fc.constantFrom("a", "b", "constructor", "toString", "10", "2"),
);
const json = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", maxDepth: 6 },
    fc.constantFrom(null, true, false),
    number,
    key,
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(
      key.filter((name) => name !== "__proto__"),
      tie("value"),
      { maxKeys: 5 },
    ),
  ),
})).value;
// JSON-like text, mostly broken: tokens in any order.
const token = fc.constantFrom(
  ...'{}[]:," \n\t\\-0123eE+.'.split(""),
  "true",
  "null",
  '"a"',
  '"b":',
  "\\u0061",
  "\\ud800",
  "\\udc00",
  "\ufeff",
  "1e400",
  "9007199254740992",
  '"__proto__":',
  "é",
  "\u2028",
  "\0",
);
const textish = fc.array(token, { maxLength: 12 }).map((tokens) => tokens.join(""));

describe("properties", () => {
  test("what JSON.stringify writes parseStrict reads, in every indentation", () => {
    fc.assert(
      fc.property(json, fc.constantFrom(0, 1, "\t"), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent);
        expect(strict(text)).toEqual({ kind: "ok", value: JSON.parse(text) as unknown });
      }),
      { numRuns: 500 },
    );
  });

  test("parseStrict → canonicalize → parseCanonical always holds, and canonical bytes come back the same", () => {
    fc.assert(
      fc.property(json, (value) => {
        const first = strict(JSON.stringify(value));
        if (first.kind !== "ok") throw new Error(first.detail);
        const bytes = canonicalize(first.value);
        const second = parseCanonical(bytes);
        expect(second).toEqual(first);
        if (second.kind === "ok") expect(canonicalize(second.value)).toEqual(bytes);
      }),
      { numRuns: 500 },
    );
  });

  test("on any text parseStrict accepts no more than JSON.parse, and reads the same value", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          textish,
          fc.string({ unit: "binary" }),
          json.map((value) => JSON.stringify(value)),
        ),
        (text) => {
          const result = strict(text);
          if (result.kind === "ok") expect(JSON.stringify(result.value)).toBe(JSON.stringify(JSON.parse(text)));
          if (result.kind === "refused" && result.code === "json_syntax")
            expect(() => JSON.parse(text) as unknown).toThrow(SyntaxError);
        },
      ),
      { numRuns: 5_000 },
    );
  });

  test("parseCanonical is parseStrict plus equality with the serialiser, on any text", () => {
    // Texts near canonical ones: one character taken out, doubled or replaced.
    const near = fc.tuple(json, fc.nat(), token, fc.nat(3)).map(([value, at, piece, cut]) => {
      const text = canonicalText(value);
      const place = at % (text.length + 1);
      const bent = text.slice(0, place) + piece + text.slice(place + cut);
      return new TextDecoder("utf-8", { ignoreBOM: true }).decode(encoder.encode(bent)); // a cut surrogate pair is no text of its own
    });
    fc.assert(
      fc.property(
        fc.oneof(
          textish,
          near,
          json.map(canonicalText),
          json.map((value) => JSON.stringify(value)),
        ),
        (text) => {
          const byScan = canonical(text);
          const loose = strict(text);
          if (loose.kind === "refused") expect(byScan).toEqual(loose);
          else if (canonicalText(loose.value) === text) expect(byScan).toEqual(loose);
          else expect(verdict(byScan)).toBe("json_not_canonical");
        },
      ),
      { numRuns: 5_000 },
    );
  });

  test("no bytes make either parser throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(["ok", "refused"]).toContain(parseStrict(bytes).kind);
        expect(["ok", "refused"]).toContain(parseCanonical(bytes).kind);
      }),
      { numRuns: 2_000 },
    );
  });
});

import { describe, expect, test } from "@jest/globals";
import Type from "typebox";
import { Settings } from "typebox/system";
import { Ack } from "./ack.js";
import { IntentRequest } from "./intent.js";
import { check } from "./validate.js";

const pointersOf = (...[schema, value]: Parameters<typeof check>): string[] => {
  const checked = check(schema, value);
  return checked.kind === "ok" ? [] : checked.pointers.map(({ pointer }) => pointer);
};

describe("check", () => {
  test("returns the very value, unchanged: nothing is filled in, coerced or stripped", () => {
    const value = { line_items: [{ query: " shoes ", colour: "red" }], context: { currency: "eur" }, later: { a: 1 } };
    const before = structuredClone(value);
    const checked = check(IntentRequest, value);
    expect(checked.kind === "ok" && checked.value).toBe(value);
    expect(value).toEqual(before);
    expect(check(IntentRequest, { ...value, quotes_per_node_max: "4" }).kind).toBe("invalid");
  });

  test("names every wrong place at once, far beyond the first few", () => {
    const line_items = Array.from({ length: 20 }, () => ({ query: 1 }));
    expect(pointersOf(IntentRequest, { line_items, context: { currency: "euro" } })).toEqual([
      ...line_items.map((_, index) => `/line_items/${index}/query`),
      "/context/currency",
    ]);
  });

  test("names each missing key at its own place", () => {
    expect(check(IntentRequest, { line_items: [{}] })).toEqual({
      kind: "invalid",
      pointers: [
        { pointer: "/context", detail: "is missing" },
        { pointer: "/line_items/0/query", detail: "is missing" },
      ],
    });
    expect(pointersOf(Ack, {})).toEqual(["/protocol", "/version", "/request_digest", "/attempt", "/status"]);
  });

  test("escapes keys as RFC 6901 does", () => {
    const schema = Type.Object({ "a/b": Type.Object({ "m~n": Type.String() }) });
    expect(pointersOf(schema, { "a/b": {} })).toEqual(["/a~1b/m~0n"]);
    expect(pointersOf(schema, { "a/b": { "m~n": 1 } })).toEqual(["/a~1b/m~0n"]);
    expect(pointersOf(schema, {})).toEqual(["/a~1b"]);
  });

  test("says one place once, with all alternatives", () => {
    expect(check(Type.Union([Type.String(), Type.Integer()]), null)).toEqual({
      kind: "invalid",
      pointers: [{ pointer: "", detail: "must be string or must be integer" }],
    });
    expect(check(Type.Union([Type.Literal("a"), Type.Literal("b")]), "c")).toEqual({
      kind: "invalid",
      pointers: [{ pointer: "", detail: 'must be "a" or must be "b"' }],
    });
    expect(check(Type.Enum(["eq", "ne"]), "lt")).toEqual({
      kind: "invalid",
      pointers: [{ pointer: "", detail: "must be one of eq, ne" }],
    });
  });

  test("stays bounded for a body that is wrong everywhere", () => {
    const wrong = { line_items: Array.from({ length: 100 }, () => ({ query: 0, category: 0, unit: 0, gtin: 0 })) };
    expect(pointersOf(IntentRequest, wrong)).toHaveLength(32);
  });

  test("leaves TypeBox's own settings as they were", () => {
    const before = Settings.Get().maxErrors;
    expect(check(IntentRequest, null).kind).toBe("invalid");
    expect(Settings.Get().maxErrors).toBe(before);
  });

  test("counts characters as JSON Schema does, by code point", () => {
    const schema = Type.String({ maxLength: 2 });
    expect(check(schema, "😀😀").kind).toBe("ok");
    expect(check(schema, "e\u0301e\u0301").kind).toBe("invalid");
  });
});

import { describe, expect, test } from "@jest/globals";
import { publicEvent, publicEventJson } from "./public-event.js";

const EVENT = {
  id: "evt_1",
  type: "TICK",
  schema_version: 1,
  protocol_version: "1.0",
  time: "2026-01-01T00:00:00.000Z",
  topic: "rt.x",
  trace_id: "t",
  data: { n: 1, text: "two\nlines" },
};
const stored = (event: object | string): Uint8Array =>
  new TextEncoder().encode(typeof event === "string" ? event : JSON.stringify(event));

describe("an event as everyone outside sees it", () => {
  test("is the stored text itself where that is already what is published", () => {
    expect(publicEventJson(stored(EVENT))).toEqual({ event: EVENT, json: JSON.stringify(EVENT) });
  });

  test.each([
    ["more members", { ...EVENT, later: 1 }, EVENT],
    ["more members in front", { earlier: 1, ...EVENT }, EVENT],
    ["another order", Object.fromEntries(Object.entries(EVENT).toReversed()), EVENT],
    ["a member missing", { ...EVENT, trace_id: undefined }, { ...EVENT, trace_id: undefined }],
    ["one member in another's place", { ...EVENT, data: undefined, extra: 1 }, { ...EVENT, data: undefined }],
    ["lines", JSON.stringify(EVENT, undefined, 2), EVENT],
    ["carriage returns", JSON.stringify(EVENT).replace(",", ",\r"), EVENT],
  ])("has the published members in their order, on one line: %s", (_what, found, shown) => {
    expect(publicEventJson(stored(found)).json).toBe(JSON.stringify(shown));
    expect(publicEvent(stored(found))).toEqual(shown);
  });

  test.each(["", "{}", "[]", '{"type":1}', '{"type":"TICK"'])("throws for what is none: %s", (text) => {
    expect(() => publicEvent(stored(text))).toThrow(/JSON|has no type/);
  });
});

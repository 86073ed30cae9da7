import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import type { TSchema } from "typebox";
import { buildEvent, Event } from "./event.js";
import { END_EVENTS, EVENT_BACKBONE, EVENTS, type EventType } from "./events.js";
import { isId } from "./ids.js";
import { parseStrict } from "./parse-strict.js";
import { parseTopic } from "./subjects.js";
import { check } from "./validate.js";

const folder = new URL("../fixtures/events/", import.meta.url);
const types = Object.keys(EVENTS) as EventType[];
const fixtures = readdirSync(folder).toSorted();

function read(file: string): Event {
  const parsed = parseStrict(readFileSync(new URL(file, folder)));
  if (parsed.kind === "refused") throw new Error(`${file}: ${parsed.code}`);
  return parsed.value as unknown as Event;
}

/** The same value with a member of tomorrow in every object. */
function withUnknownFields(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withUnknownFields);
  if (value === null || typeof value !== "object") return value;
  const known = Object.entries(value).map(([key, member]): [string, unknown] => [key, withUnknownFields(member)]);
  return { ...Object.fromEntries(known), of_tomorrow: { deep: [null, 1, "x"] } };
}

const errorsOf = (schema: TSchema, value: unknown) => {
  const checked = check(schema, value);
  return checked.kind === "ok" ? [] : checked.pointers;
};

describe("published events", () => {
  test("have a fixture for every version of every type, and none for anything else", () => {
    const published = types.flatMap((type) =>
      Array.from({ length: EVENTS[type].schemaVersion }, (_, index) => `${type}.v${index + 1}.json`),
    );
    expect(fixtures).toEqual(published.toSorted());
  });

  test.each(fixtures)("%s parses against today's schemas, for ever, also with fields it does not know", (file) => {
    const [, type, version] = /^([A-Z_]+)\.v(\d+)\.json$/.exec(file)!;
    const event = read(file);
    expect([event.type, event.schema_version]).toEqual([type, Number(version)]);
    for (const one of [event, withUnknownFields(event) as Event]) {
      expect(errorsOf(Event, one)).toEqual([]);
      expect(errorsOf(EVENTS[one.type].data, one.data)).toEqual([]);
    }
  });

  test.each(fixtures)("%s stands on a topic that tells no raw id of backend or buyer", (file) => {
    const { topic } = read(file);
    const parts = parseTopic(topic)!;
    expect(parts.backend).toMatch(/^(-|[0-9a-f]{20})$/);
    expect(parts.buyer).toMatch(/^(-|[0-9a-f]{20})$/);
    expect(isId("int", parts.id) || isId("nod", parts.id)).toBe(true);
  });
});

describe("the event table", () => {
  test("keeps the names and the order of the ten-event backbone", () => {
    expect(EVENT_BACKBONE).toEqual([
      "INTENT_CREATED",
      "INTENT_BROADCASTED",
      "NODE_RESPONDED",
      "QUOTE_RECEIVED",
      "NEGOTIATION_STARTED",
      "RISK_FLAGGED",
      "ORDER_CREATED",
      "PAYMENT_SUCCEEDED",
      "ORDER_COMPLETED",
      "REPUTATION_UPDATED",
    ]);
    const ofTheBackbone = types.filter((type) => (EVENT_BACKBONE as readonly string[]).includes(type));
    expect(ofTheBackbone).toEqual(EVENT_BACKBONE.filter((type) => type in EVENTS));
  });

  test("lets only NODE_RESPONDED repeat", () => {
    expect(types.filter((type) => EVENTS[type].repeats)).toEqual(["NODE_RESPONDED"]);
  });

  test("has one end for each outcome", () => {
    expect(Object.values(END_EVENTS).every((type) => type in EVENTS)).toBe(true);
  });

  test.each(types)("%s says what it means", (type) => {
    expect(EVENTS[type].meaning).toMatch(/^[A-Z].*\.$/);
  });
});

describe("buildEvent", () => {
  const { data, topic, trace_id: traceId } = read("INTENT_BROADCASTED.v1.json") as Event<"INTENT_BROADCASTED">;
  const build = (key?: string[], nowMs = 0) =>
    buildEvent("INTENT_BROADCASTED", data, {
      topic,
      traceId,
      clock: { now: () => nowMs },
      ...(key === undefined ? {} : { key }),
    });

  test("makes the event of the fixture", () => {
    const fixture = read("INTENT_BROADCASTED.v1.json");
    expect(build([data.intent_id], Date.parse(fixture.time))).toEqual(fixture);
  });

  test("gives the same id at each repetition, another one for another key or type", () => {
    expect(build(["a"]).id).toBe(build(["a"], 1).id);
    expect(build(["a"]).id).not.toBe(build(["b"]).id);
    const closed = buildEvent("INTENT_CLOSED", (read("INTENT_CLOSED.v1.json") as Event<"INTENT_CLOSED">).data, {
      topic,
      traceId,
      key: ["a"],
    });
    expect(closed.id).not.toBe(build(["a"]).id);
  });

  test("gives a fresh id to an event that is folded", () => {
    expect(build().id).not.toBe(build().id);
    expect(isId("evt", build().id)).toBe(true);
  });
});

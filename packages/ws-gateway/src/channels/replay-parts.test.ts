// A page's frames are joined once for all who get the same bytes, in parts that a queue takes.

import { expect, test } from "@jest/globals";
import type { SourceMessage } from "../log/event-source.js";
import { nativeFormat } from "../native/native-format.js";
import { EventFilter } from "./event-filter.js";
import type { Route } from "./policy.js";
import { ReplayParts } from "./replay-parts.js";

const route: Route = { channel: "one:x", key: "one.x", view: "full", replayFilter: async () => "rt.x" };
const page = (count: number): SourceMessage[] =>
  Array.from({ length: count }, (_, index) => ({
    seq: index + 1,
    time: index,
    subject: "rt.x",
    data: Buffer.from(String(index % 10)),
  }));

function partsOf(limits = { replayPartBytesMax: 4, queueBytesMax: 1_000 }) {
  const made: number[] = [];
  const parts = new ReplayParts(limits, (_route, _format, events) =>
    events.map(({ seq, data }) => {
      made.push(seq);
      return { type: seq % 2 === 0 ? "EVEN" : "ODD", frame: Buffer.from(data) };
    }),
  );
  return { made, parts };
}

const reader = { route, format: nativeFormat, filter: EventFilter.all };

test("all frames are in the parts, in order, and each part says how far it goes", () => {
  const { parts } = partsOf();
  const all = parts.of(page(10), reader);
  expect(all.map(({ bytes, last }) => [bytes.toString(), last.seq])).toEqual([
    ["0123", 4],
    ["4567", 8],
    ["89", 10],
  ]);
  expect(parts.of([], reader)).toEqual([]);
});

test("frames that a filter keeps back are passed over, and the position still moves on", () => {
  const { parts } = partsOf();
  const none = parts.of(page(3), { ...reader, filter: EventFilter.of(["OTHER"]) });
  expect(none.map(({ bytes, last }) => [bytes.length, last.seq])).toEqual([[0, 3]]);
  const even = parts.of(page(10), { ...reader, filter: EventFilter.of(["EVEN"]) });
  expect(even.map(({ bytes }) => bytes.toString()).join("")).toBe("13579");
});

test("who wants the same page alike gets the same bytes; another view or epoch has its own", () => {
  const { made, parts } = partsOf();
  const events = page(5);
  const first = parts.of(events, reader);
  expect(parts.of(events, { ...reader, route: { ...route } })).toBe(first);
  expect(made).toHaveLength(5);
  expect(parts.of(events, { ...reader, route: { ...route, view: "buyer" } })).not.toBe(first);
  parts.clear();
  expect(parts.of(events, reader)).not.toBe(first);
  expect(made).toHaveLength(15);
});

test("a part fits into a queue that is half free, however small the queue is", () => {
  const { parts } = partsOf({ replayPartBytesMax: 1_000, queueBytesMax: 8 });
  for (const { bytes } of parts.of(page(100), reader)) expect(bytes.length).toBeLessThanOrEqual(4);
});

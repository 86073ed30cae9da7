// What the ring has for those who come back, joined once for all of them, wherever they begin.

import { describe, expect, test } from "@jest/globals";
import type { SourceMessage } from "../log/event-source.js";
import { Ring } from "../log/ring.js";
import { nativeFormat } from "../native/native-format.js";
import { ChannelIndex } from "./channel-index.js";
import { EventFilter } from "./event-filter.js";
import { FrameTapes } from "./frame-tapes.js";
import type { Route } from "./policy.js";
import type { ReplayPart } from "./replay-parts.js";

const route: Route = { channel: "one:x", key: "rt.x", view: "full", replayFilter: async () => "rt.x" };
const reader = { route, format: nativeFormat, filter: EventFilter.all };

function world(options: { tapesBytesMax?: number; tapeEventsMin?: number; eventsMax?: number } = {}) {
  const { tapesBytesMax = 10_000, tapeEventsMin = 2, eventsMax = 1_000 } = options;
  const ring = new Ring({ bytesMax: 1_000_000, eventsMax });
  const made: number[] = [];
  const tapes = new FrameTapes({
    limits: { tapesBytesMax, tapeEventsMin, replayPartBytesMax: 4, queueBytesMax: 1_000 },
    ring,
    index: new ChannelIndex(ring, (subject) => [subject]),
    framed: (_route, _format, { seq, data }) => {
      made.push(seq);
      return { type: seq % 2 === 0 ? "EVEN" : "ODD", frame: Buffer.from(data) };
    },
  });
  let seq = 0;
  const push = (count: number, subject = "rt.x") => {
    for (let each = 0; each < count; each++) {
      const event: SourceMessage = { seq: ++seq, time: seq, subject, data: Buffer.from(String(seq % 10)) };
      ring.push(event);
    }
  };
  const clear = (floor: number) => {
    ring.clear(floor);
    seq = floor;
  };
  return { ring, tapes, made, push, clear };
}

const shown = (parts: Iterable<ReplayPart>) => [...parts].map(({ bytes, last }) => [bytes.toString(), last.seq]);

describe("a tape", () => {
  test("gives what is missing from any beginning, in parts, and makes each frame once", () => {
    const { tapes, made, push } = world();
    push(10);
    expect(shown(tapes.after(0, reader))).toEqual([
      ["1234", 4],
      ["5678", 8],
      ["90", 10],
    ]);
    expect(shown(tapes.after(5, reader))).toEqual([
      ["678", 8],
      ["90", 10],
    ]);
    expect(shown(tapes.after(8, reader))).toEqual([["90", 10]]);
    expect(made).toHaveLength(10);
  });

  test("goes on where it ended, over events of other channels", () => {
    const { tapes, made, push } = world();
    push(3);
    expect(shown(tapes.after(0, reader))).toEqual([["123", 3]]);
    push(5, "rt.other");
    push(3);
    expect(shown(tapes.after(1, reader))).toEqual([
      ["239", 9],
      ["01", 11],
    ]);
    expect(made).toEqual([1, 2, 3, 9, 10, 11]);
  });

  test("is made anew for a beginning before its own", () => {
    const { tapes, push } = world();
    push(9);
    expect(shown(tapes.after(5, reader))).toEqual([["6789", 9]]);
    expect(
      shown(tapes.after(3, reader))
        .map(([text]) => text)
        .join(""),
    ).toBe("456789");
  });

  test("is made anew when the ring has run on past its end: there may be a hole", () => {
    const { ring, tapes, push } = world({ eventsMax: 4 });
    push(3);
    expect(shown(tapes.after(0, reader))).toEqual([["123", 3]]);
    push(6);
    expect(ring.floor).toBe(5);
    expect(shown(tapes.after(5, reader))).toEqual([["6789", 9]]);
  });

  test("lets go what the ring has let go", () => {
    const { ring, tapes, push } = world({ eventsMax: 8 });
    push(8);
    expect(shown(tapes.after(0, reader))).toHaveLength(2);
    const before = tapes.bytes;
    for (let round = 0; round < 20; round++) {
      push(4);
      expect(
        shown(tapes.after(ring.floor, reader))
          .map(([text]) => text)
          .join(""),
      ).toHaveLength(8);
    }
    expect(tapes.bytes).toBe(before);
  });

  test("is forgotten with the ring: sequences may begin anew", () => {
    const { tapes, push, clear } = world();
    push(4);
    expect(shown(tapes.after(0, reader))).toEqual([["1234", 4]]);
    clear(0);
    push(2, "rt.other");
    push(2);
    expect(shown(tapes.after(0, reader))).toEqual([["34", 4]]);
  });

  test("is of one channel, view, wire protocol and filter", () => {
    const { tapes, push } = world();
    push(6);
    push(2, "rt.other");
    const even = { ...reader, filter: EventFilter.of(["EVEN"]) };
    expect(shown(tapes.after(0, reader))).toHaveLength(2);
    expect(shown(tapes.after(0, even))).toEqual([["246", 6]]);
    const own = { ...reader, format: { ...nativeFormat } };
    const [part] = tapes.after(0, reader);
    expect([...tapes.after(0, own)][0]!.bytes).not.toBe(part!.bytes);
    expect([...tapes.after(0, reader)][0]!.bytes).toBe(part!.bytes);
    const none = { ...reader, filter: EventFilter.of(["OTHER"]) };
    expect(shown(tapes.after(0, none))).toEqual([["", 6]]);
    const other = { ...reader, route: { ...route, channel: "one:y", key: "rt.other" } };
    expect(shown(tapes.after(0, other))).toEqual([["78", 8]]);
  });
});

test("few events go one by one, and no tape is kept for them", () => {
  const { tapes, push } = world({ tapeEventsMin: 3 });
  push(2);
  expect(shown(tapes.after(0, reader))).toEqual([
    ["1", 1],
    ["2", 2],
  ]);
  expect(tapes.bytes).toBe(0);
});

test("tapes are bounded by bytes: the one longest unused goes first", () => {
  const { tapes, made, push } = world({ tapesBytesMax: 600 });
  const readers = ["a", "b", "c"].map((name) => ({ ...reader, route: { ...route, key: `rt.${name}` } }));
  for (const { route: of } of readers) push(4, of.key);
  for (const each of [readers[0]!, readers[1]!, readers[0]!, readers[2]!]) tapes.after(0, each);
  expect(tapes.bytes).toBeLessThanOrEqual(600);
  made.length = 0;
  tapes.after(0, readers[0]!);
  expect(made).toEqual([]);
  tapes.after(0, readers[1]!);
  expect(made).toHaveLength(4);
});

import { describe, expect, test } from "@jest/globals";
import { cursorScope } from "../channels/cursor.js";
import { seeded } from "../engine.fixture.js";
import { OffsetCursors, splitOffset } from "./offset.js";

const KEY = { id: "a", secret: Buffer.alloc(16, 7) };
const NEXT_KEY = { id: "b", secret: Buffer.alloc(16, 8) };
const scope = cursorScope("rt.t.g.>", "epoch-1");
const cursors = new OffsetCursors([KEY]);
const random = seeded(20261129);

describe("positions of Centrifugo's clients", () => {
  test("of a page are the same as one by one", () => {
    const page = [1, 2, 70_000].map((seq) => ({ seq, time: 5 }));
    expect(cursors.writeAll(scope, page)).toEqual(page.map((each) => cursors.write(scope, each)));
  });

  test("are read back, and are numbers that the client takes", () => {
    for (let n = 0; n < 10_000; n++) {
      const seq = Math.floor(random() * 2 ** Math.floor(random() * 48));
      const text = cursors.write(scope, { seq, time: 5 });
      const { offset } = splitOffset(text);
      expect(Number.isSafeInteger(offset) && offset > 0).toBe(true);
      expect(cursors.read(scope, text)).toEqual({ kind: "ok", position: { seq, time: 0 } });
    }
  });

  test("tell neither order nor distance", () => {
    const offsets = Array.from(
      { length: 1_000 },
      (_, seq) => splitOffset(cursors.write(scope, { seq, time: 0 })).offset,
    );
    const ascents = offsets.slice(1).filter((offset, at) => offset > offsets[at]!).length;
    expect(ascents).toBeGreaterThan(400);
    expect(ascents).toBeLessThan(600);
    expect(Math.max(...offsets)).toBeGreaterThan(2 ** 50);
  });

  test("are another channel's and another epoch's own", () => {
    const text = cursors.write(scope, { seq: 77, time: 0 });
    const other = cursorScope("rt.t.h.>", "epoch-1");
    expect(splitOffset(cursors.write(other, { seq: 77, time: 0 })).offset).not.toBe(splitOffset(text).offset);
    expect(cursors.read(cursorScope("rt.t.g.>", "epoch-2"), text)).toEqual({ kind: "other_epoch" });
  });

  test("are read with a key that no longer writes, and not without it", () => {
    const text = cursors.write(scope, { seq: 77, time: 0 });
    expect(new OffsetCursors([NEXT_KEY, KEY]).read(scope, text)).toMatchObject({ kind: "ok" });
    expect(new OffsetCursors([NEXT_KEY]).read(scope, text)).toEqual({ kind: "other_epoch" });
  });

  test.each([
    "",
    ":0",
    ":5",
    "a000000:",
    "xyz:17",
    "a000000:0",
    "a000000:-1",
    "a000000:1.5",
    "a000000:99999999999999999",
  ])("%j is a foreign one", (text) => expect(cursors.read(scope, text)).toEqual({ kind: "other_epoch" }));
});

import { describe, expect, test } from "@jest/globals";
import { CursorCodec, cursorScope } from "./cursor.js";

const keyOf = (id: string, fill: number) => ({ id, secret: Buffer.alloc(16, fill) });
const codec = new CursorCodec([keyOf("a", 1)]);
const scope = cursorScope("intent.b1.int_1", "epoch-1");
const position = { seq: 2 ** 40 + 17, time: 1_795_000_000_000 };
const cursor = codec.write(scope, position);

describe("a cursor (4.9)", () => {
  test("is 23 characters of base64url and comes back as its position", () => {
    expect(cursor).toMatch(/^[A-Za-z0-9_-]{22}a$/);
    expect(codec.read(scope, cursor)).toEqual({ kind: "ok", position });
  });

  test("is the same text for the same position in every process", () => {
    expect(new CursorCodec([keyOf("a", 1)]).write(cursorScope("intent.b1.int_1", "epoch-1"), position)).toBe(cursor);
  });

  test("of a page are the same as one by one", () => {
    const page = Array.from({ length: 300 }, (_, index) => ({ seq: index * 7 + 1, time: index * 1_000 }));
    expect(codec.writeAll(scope, page)).toEqual(page.map((each) => codec.write(scope, each)));
    expect(codec.writeAll(scope, [])).toEqual([]);
  });

  test("shows nothing of its neighbours", () => {
    const next = codec.write(scope, { ...position, seq: position.seq + 1 });
    const equal = Array.from({ length: 22 }, (_, at) => at).filter((at) => cursor[at] === next[at]).length;
    expect(equal).toBeLessThan(6);
  });

  test("of another channel is invalid, of another epoch is told apart", () => {
    expect(codec.read(cursorScope("intent.b2.int_1", "epoch-1"), cursor)).toEqual({ kind: "invalid" });
    expect(codec.read(cursorScope("intent.b1.int_1", "epoch-2"), cursor)).toEqual({ kind: "other_epoch" });
  });

  test("is refused with any character changed", () => {
    for (let at = 0; at < cursor.length; at++) {
      const bent = cursor.slice(0, at) + (cursor[at] === "A" ? "B" : "A") + cursor.slice(at + 1);
      expect(codec.read(scope, bent).kind).not.toBe("ok");
    }
  });

  test.each([
    "",
    "a",
    "AAAAAAAAAAAAAAAAAAAAAAa",
    `${cursor}=`,
    `${cursor.slice(0, 22)}b`,
    cursor.repeat(2),
    "💥".repeat(6),
  ])("is refused as %j", (text) => {
    expect(codec.read(scope, text)).toEqual({ kind: "invalid" });
  });

  test("is read with an older key while that is held, and refused afterwards", () => {
    const rotated = new CursorCodec([keyOf("b", 2), keyOf("a", 1)]);
    expect(rotated.read(scope, cursor)).toEqual({ kind: "ok", position });
    expect(rotated.write(scope, position)).toMatch(/b$/);
    expect(new CursorCodec([keyOf("b", 2)]).read(scope, cursor)).toEqual({ kind: "invalid" });
  });

  test("needs sound keys", () => {
    expect(() => new CursorCodec([])).toThrow(TypeError);
    expect(() => new CursorCodec([keyOf("a", 1), keyOf("a", 2)])).toThrow(TypeError);
    expect(() => new CursorCodec([{ id: "ab", secret: Buffer.alloc(16) }])).toThrow(TypeError);
    expect(() => new CursorCodec([{ id: "a", secret: Buffer.alloc(15) }])).toThrow(TypeError);
  });
});

import { describe, expect, test } from "@jest/globals";
import { CursorCodec, cursorScope } from "./cursor.js";
import { cursorKeys } from "./cursor-keys.js";

const scope = cursorScope("channel", "epoch");
const position = { seq: 7, time: 1_000 };

describe("cursor keys", () => {
  test("are the same for the same secret", () => {
    expect(cursorKeys("a secret of some length")).toEqual(cursorKeys("a secret of some length"));
  });

  test("rotate: the first writes, all read", () => {
    const before = new CursorCodec(cursorKeys("the first secret there was"));
    const after = new CursorCodec(cursorKeys("a newer secret for today, the first secret there was"));
    expect(after.read(scope, before.write(scope, position))).toEqual({ kind: "ok", position });
    expect(before.read(scope, after.write(scope, position))).toEqual({ kind: "invalid" });
  });

  test("refuse short secrets and two of one id", () => {
    expect(() => cursorKeys("short")).toThrow("16 characters");
    expect(() => cursorKeys("one secret that is long,one secret that is long")).toThrow("key id");
  });
});

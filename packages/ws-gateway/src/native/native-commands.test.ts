import { describe, expect, test } from "@jest/globals";
import { readCommands } from "./native-commands.js";

const read = (text: string) => [...readCommands(Buffer.from(text))];
const one = (text: string) => read(text)[0];

describe("client frames", () => {
  test("3.2: sub with a cursor, from the start, or neither", () => {
    expect(one('{"id":1,"op":"sub","ch":"a:b"}')).toEqual({
      kind: "ok",
      command: { op: "sub", id: 1, channel: "a:b", wanted: {} },
    });
    expect(one('{"id":"x","op":"sub","ch":"a:b","cur":"c"}')).toEqual({
      kind: "ok",
      command: { op: "sub", id: "x", channel: "a:b", wanted: { cursor: "c" } },
    });
    expect(one('{"id":1,"op":"sub","ch":"a:b","from":"start","later":[1]}')).toEqual({
      kind: "ok",
      command: { op: "sub", id: 1, channel: "a:b", wanted: { from: "start" } },
    });
  });

  test("1.4: one frame holds several objects, empty lines are nothing", () => {
    const kinds = read('{"op":"pong"}\n\n{"id":2,"op":"ping"}\n{"id":3,"op":"unsub","ch":"a:b"}\n');
    expect(kinds.map((each) => (each.kind === "ok" ? each.command.op : each.kind))).toEqual(["pong", "ping", "unsub"]);
  });

  test.each([
    ["no id", '{"op":"ping"}', undefined],
    ["a negative id", '{"id":-1,"op":"ping"}', undefined],
    ["a long id", `{"id":"${"x".repeat(65)}","op":"ping"}`, undefined],
    ["no op", '{"id":1}', 1],
    ["an unknown op", '{"id":1,"op":"constructor"}', 1],
    ["a token that is no text", '{"id":1,"op":"auth","token":7}', 1],
    ["an endless token", `{"id":1,"op":"auth","token":"${"x".repeat(9_000)}"}`, 1],
    ["no channel", '{"id":1,"op":"sub"}', 1],
    ["a cursor that is no text", '{"id":1,"op":"sub","ch":"a:b","cur":1}', 1],
    ["cursor and start", '{"id":1,"op":"sub","ch":"a:b","cur":"c","from":"start"}', 1],
    ["cursor and rewind", '{"id":1,"op":"sub","ch":"a:b","cur":"c","rewind":{"ms":1}}', 1],
    ["start and rewind", '{"id":1,"op":"sub","ch":"a:b","from":"start","rewind":{"ms":1}}', 1],
    ["a rewind of nothing", '{"id":1,"op":"sub","ch":"a:b","rewind":{}}', 1],
    ["a rewind of both", '{"id":1,"op":"sub","ch":"a:b","rewind":{"ms":1,"count":1}}', 1],
    ["too long a rewind", '{"id":1,"op":"sub","ch":"a:b","rewind":{"count":1001}}', 1],
    ["an unknown mode", '{"id":1,"op":"sub","ch":"a:b","mode":"last"}', 1],
    ["no types", '{"id":1,"op":"sub","ch":"a:b","types":[]}', 1],
    ["a type that is no text", '{"id":1,"op":"sub","ch":"a:b","types":[1]}', 1],
    ["from elsewhere", '{"id":1,"op":"sub","ch":"a:b","from":"end"}', 1],
  ])("3.6: an object with %s is refused and named by its id", (_name, text, id) => {
    expect(one(text)).toMatchObject({ kind: "refused", id, code: "frame_invalid" });
  });

  test.each([
    ["no JSON", "hello", "json_syntax"],
    ["a list", "[]", "frame_invalid"],
    ["null", "null", "frame_invalid"],
    ["a doubled key", '{"id":1,"id":2,"op":"ping"}', "json_duplicate_key"],
    ["__proto__", '{"__proto__":{"op":"ping"},"id":1}', "json_forbidden_key"],
    ["depth", `${"[".repeat(40)}${"]".repeat(40)}`, "json_too_deep"],
    ["an unsafe number", '{"id":90071992547409931,"op":"ping"}', "json_unsafe_integer"],
  ])("3.7: %s breaks the frame, and nothing behind it is read", (_name, text, code) => {
    expect(read(`${text}\n{"id":2,"op":"ping"}`)).toMatchObject([{ kind: "broken", code }]);
  });
});

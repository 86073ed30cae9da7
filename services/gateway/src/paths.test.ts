import { describe, expect, test } from "@jest/globals";
import { GATEWAY_PATHS, readPaths } from "./paths.js";

describe("OUTCRY_GATEWAY_PATHS", () => {
  test("changes what it names and leaves the rest", () => {
    expect(readPaths("phoenix=/realtime/websocket, stream=/events")).toEqual({
      ...GATEWAY_PATHS,
      phoenix: "/realtime/websocket",
      stream: "/events",
    });
  });

  test.each([
    ["an unknown name", "sockets=/x"],
    ["a member of Object", "constructor=/x"],
    ["no path", "phoenix"],
    ["a path without its slash", "phoenix=socket"],
    ["a query", "phoenix=/socket?x=1"],
    ["a path that another has", "phoenix=/v1/ws"],
    ["nothing", ""],
  ])("refuses %s", (_what, text) => expect(() => readPaths(text)).toThrow("OUTCRY_GATEWAY_PATHS"));
});

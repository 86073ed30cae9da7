import { expect, test } from "@jest/globals";
import { parseOptions } from "./find-command.js";
import { keysRevoke } from "./keys-commands.js";

test.each(["-", "--", "-o"])("a key id that begins with %s is an argument, not an option", (beginning) => {
  const kid = beginning.padEnd(43, "aB3_-x");
  const { args, options } = parseOptions(keysRevoke, [kid, "--dry-run"]);
  expect(args).toEqual([kid]);
  expect(options.flag("dry-run")).toBe(true);
});

test("what is shorter is still an option that there is not", () => {
  expect(() => parseOptions(keysRevoke, ["--dry-rum"])).toThrow("did you mean --dry-run");
  expect(() => parseOptions(keysRevoke, ["-x"])).toThrow("there is no option --x");
});

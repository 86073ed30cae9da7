import { describe, expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cliPage } from "./cli-page.js";
import { COMMANDS, SHARED_OPTIONS } from "./command-table.js";
import { completionScript, SHELLS } from "./completion.js";
import { findCommand, parseOptions } from "./find-command.js";
import { editsBetween, nearest } from "./suggest.js";

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");

test("docs/cli.md is what the table of commands says (npm run docs writes it)", () => {
  expect(read("../../docs/cli.md")).toBe(cliPage());
});

describe("completion", () => {
  test.each(SHELLS)("for %s is what the table says, and names every command and option", (shell) => {
    const script = completionScript(shell, COMMANDS, SHARED_OPTIONS);
    expect(read(`completions/outcry.${shell}`)).toBe(script);
    for (const [name, { options }] of Object.entries(COMMANDS)) {
      for (const word of name.split(" ")) expect(script).toContain(word);
      for (const option of Object.keys(options)) expect(script).toMatch(new RegExp(`(--|-l )${option}\\b`));
    }
  });

  test("of bash completes nouns, verbs, options and fixed values", () => {
    const complete = (...words: string[]) => {
      const script = `${completionScript("bash", COMMANDS, SHARED_OPTIONS)}
COMP_WORDS=(${words.map((word) => `"${word}"`).join(" ")}); COMP_CWORD=${words.length - 1}; _outcry; echo "\${COMPREPLY[*]}"`;
      const { stdout, stderr } = spawnSync("bash", ["-c", script], { encoding: "utf8" });
      expect(stderr).toBe("");
      return stdout.trim().split(/\s+/);
    };
    expect(complete("outcry", "int")).toEqual(["intent"]);
    expect(complete("outcry", "intent", "ca")).toEqual(["cancel"]);
    expect(complete("outcry", "completion", "")).toEqual([...SHELLS]);
    expect(complete("outcry", "node", "ls", "--sta")).toEqual(["--status"]);
    expect(complete("outcry", "node", "ls", "--status", "")).toEqual(["active", "suspended"]);
    expect(complete("outcry", "bench", "--ra")).toEqual(["--rate"]);
    expect(complete("outcry", "bench", "")).toEqual(["compare"]);
  });
});

test("every example of the help is a command line that would be taken", () => {
  for (const [name, { examples }] of Object.entries(COMMANDS)) {
    expect([name, examples.length]).not.toEqual([name, 0]);
    for (const example of examples) {
      const own = /(?:\| outcry )?([^|#>]*)/.exec(
        example.includes("| outcry ") ? example.slice(example.indexOf("| outcry ")) : example,
      )![1]!;
      const words = [...own.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c!);
      const found = findCommand(words);
      expect([example, found?.name]).toEqual([example, name]);
      expect([example, parseOptions(found!.command, found!.rest).args.length]).toEqual([
        example,
        found!.command.args.length,
      ]);
    }
  }
});

test("what is near is found, what is far is not", () => {
  expect(editsBetween("intetn", "intent")).toBe(1);
  expect(editsBetween("", "abc")).toBe(3);
  expect(nearest("stauts", ["status", "start"])).toBe("status");
  expect(nearest("frobnicate", ["status", "start"])).toBeUndefined();
});

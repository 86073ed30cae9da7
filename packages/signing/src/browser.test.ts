import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";

const here = (name: string) => new URL(`./${name}`, import.meta.url);

/** Every module that the browser entry loads from this package, and every other specifier it names. */
function reach(
  name: string,
  modules = new Set<string>(),
  foreign = new Set<string>(),
): { modules: Set<string>; foreign: Set<string> } {
  if (modules.has(name)) return { modules, foreign };
  modules.add(name);
  for (const [, specifier] of readFileSync(here(name), "utf8").matchAll(/\bfrom\s+"([^"]+)"/g)) {
    if (specifier === "#curve") reach("curve-browser.js", modules, foreign);
    else if (specifier!.startsWith("./")) reach(specifier!.slice(2), modules, foreign);
    else foreign.add(specifier!);
  }
  return { modules, foreign };
}

test("the browser build reaches nothing of Node", () => {
  const { modules, foreign } = reach("browser.js");
  expect([...modules].every((name) => existsSync(here(name)))).toBe(true);
  expect(modules.has("curve-node.js")).toBe(false);
  expect([...foreign].toSorted()).toEqual(["@noble/ed25519", "@noble/hashes/sha2.js", "@outcry/protocol"]);
});

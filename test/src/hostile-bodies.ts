// Bodies that no client should send: a list of our own, and the corpora when they lie beside the repository.

import { hasCorpus, jsonFilesUnder, readData } from "./corpus-files.js";

export interface Body {
  name: string;
  bytes: Uint8Array;
}

export const bodyOf = (name: string, text: string): Body => ({ name, bytes: new TextEncoder().encode(text) });

export const ownBodies: readonly Body[] = [
  bodyOf("nothing", ""),
  bodyOf("a word", "hello"),
  bodyOf("a key twice", '{"a":1,"a":2}'),
  bodyOf("a key twice, escaped", '{"a":1,"\\u0061":2}'),
  bodyOf("__proto__", '{"__proto__":{"role":"admin"}}'),
  bodyOf("an unsafe integer", '{"a":9007199254740993}'),
  bodyOf("an infinite number", '{"a":1e999}'),
  bodyOf("a lone surrogate", '{"a":"\\udc00"}'),
  bodyOf("depth 50,000", "[".repeat(50_000)),
  bodyOf("a byte order mark", "\ufeff{}"),
  { name: "invalid UTF-8", bytes: Uint8Array.of(0x22, 0xff, 0x22) },
  bodyOf("70 kB", `{"a":"${"x".repeat(70_000)}"}`),
];

export const PARSER_SUITE = "security/jsontestsuite/test_parsing";
export const TRANSFORM_SUITE = "security/jsontestsuite/test_transform";

export const nastyBodies = (): Body[] =>
  readData("security/nasty-json.jsonl")
    .trim()
    .split("\n")
    .map((line) => {
      const { name, body } = JSON.parse(line) as { name: string; body: string };
      return bodyOf(name, body);
    });

/** Everything there is. */
export const allBodies = (): Body[] => [
  ...ownBodies,
  ...(hasCorpus ? [...nastyBodies(), ...jsonFilesUnder(PARSER_SUITE), ...jsonFilesUnder(TRANSFORM_SUITE)] : []),
];

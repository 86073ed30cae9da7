// One verdict in both builds of @outcry/signing, each loaded as its users load it: this process under Node's conditions, a child under "browser".
// Wycheproof's Ed25519 vectors; a seeded set stands in where the test data is absent.

import { execFileSync } from "node:child_process";
import { describe, expect, test } from "@jest/globals";
import { signingKeyOf, verifyEd25519 } from "@outcry/signing";
import { hasCorpus, readData } from "./corpus-files.js";

/** All in hex; `expected` is the publisher's verdict. */
interface Case {
  id: string;
  key: string;
  message: string;
  signature: string;
  expected: boolean;
}

interface Wycheproof {
  testGroups: { publicKey: { pk: string }; tests: { tcId: number; msg: string; sig: string; result: string }[] }[];
}

const wycheproof = (): Case[] =>
  (JSON.parse(readData("ed25519/wycheproof/ed25519_test.json")) as Wycheproof).testGroups.flatMap(
    ({ publicKey, tests }) =>
      tests.map(({ tcId, msg, sig, result }) => ({
        id: `tcId ${tcId}`,
        key: publicKey.pk,
        message: msg,
        signature: sig,
        expected: result === "valid",
      })),
  );

/** 75 honest signatures, and each with one bit turned. */
function seeded(): Case[] {
  return Array.from({ length: 75 }, (_, nth) => {
    const key = signingKeyOf(new Uint8Array(32).fill(nth + 1));
    const message = new Uint8Array(nth).fill(nth);
    const signature = Buffer.from(key.privateKey.sign(message));
    const bent = Buffer.from(signature);
    bent[nth % 64]! ^= 1 << (nth % 8);
    const shared = { key: hexOf(key.publicKey), message: hexOf(message) };
    return [
      { id: `honest ${nth}`, ...shared, signature: hexOf(signature), expected: true },
      { id: `bent ${nth}`, ...shared, signature: hexOf(bent), expected: false },
    ];
  }).flat();
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"));

// Reads cases, writes verdicts and the names that the package exports.
const IN_BROWSER_BUILD = `
  import * as signing from "@outcry/signing";
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
  const verdicts = JSON.parse(text).map((c) => signing.verifyEd25519(bytes(c.key), bytes(c.message), bytes(c.signature)));
  console.log(JSON.stringify({ verdicts, names: Object.keys(signing) }));
`;

function inBrowserBuild(cases: Case[]): { verdicts: boolean[]; names: string[] } {
  const output = execFileSync(
    process.execPath,
    ["--conditions=browser", "--input-type=module", "--eval", IN_BROWSER_BUILD],
    {
      cwd: import.meta.dirname, // where "@outcry/signing" resolves from
      input: JSON.stringify(cases),
      maxBuffer: 10_000_000,
    },
  );
  return JSON.parse(output.toString()) as { verdicts: boolean[]; names: string[] };
}

describe("Ed25519 in the Node build and in the browser build", () => {
  test.each([["a seeded set", seeded()], ...(hasCorpus ? [["Wycheproof", wycheproof()] as const] : [])])(
    "%s: every verdict is the publisher's",
    (name, cases) => {
      expect(cases.length).toBe(name === "Wycheproof" ? 151 : 150);
      const expected = cases.map((each) => each.expected);
      const { verdicts, names } = inBrowserBuild(cases);
      const inNode = cases.map(({ key, message, signature }) =>
        verifyEd25519(bytesOf(key), bytesOf(message), bytesOf(signature)),
      );
      const wrong = (verdictsOf: boolean[]) =>
        cases.filter((_, nth) => verdictsOf[nth] !== expected[nth]).map(({ id }) => id);
      expect({ node: wrong(inNode), browser: wrong(verdicts) }).toEqual({ node: [], browser: [] });
      expect(names).toContain("verifyEnvelope");
      expect(names).not.toContain("loadKeyFile"); // so it was the browser build
    },
  );
});

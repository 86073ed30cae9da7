import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { type BrowserRealm, browserRealm } from "./browser-realm.fixture.js";
import { canonicalText } from "./canonical.js";
import { digestOf, intentId } from "./ids.js";
import { buildIntent } from "./intent.js";

let realm: BrowserRealm;

beforeAll(async () => {
  realm = await browserRealm(fileURLToPath(new URL("./index.js", import.meta.url)));
});

describe("in a browser", () => {
  test("the whole package loads with no global and no module of Node", async () => {
    expect(realm.files.size).toBeGreaterThan(20);
    expect(await realm.run("export const result = [typeof process, typeof Buffer, typeof require].join()")).toBe(
      "undefined,undefined,undefined",
    );
    expect([...realm.files].filter((file) => file.includes("dist-node"))).toEqual([]);
  });

  test("a page that forbids eval may check, build and read messages, and gets the same bytes and pointers", async () => {
    const found = await realm.run(`
      import { buildAck, buildIntent, canonicalText, check, digestOf, intentId, IntentRequest, isOutcryError, newId, parseCanonical, parseStrict } from "./index.js";
      let evaluated = true;
      try { new Function("return 1")(); } catch { evaluated = false; }
      const text = canonicalText(buildIntent(
        { line_items: [{ query: " cafe\\u0301 " }], context: { currency: "eur", language: "DE-at" } },
        { id: intentId("bkd", "k"), traceId: "${"a".repeat(32)}", nonce: "${"A".repeat(22)}", clock: { now: () => 1_800_000_000_000 } },
      ));
      const bytes = new TextEncoder().encode(text);
      let code;
      try { buildIntent({ line_items: [{ query: " " }], context: { currency: "eur" } }); }
      catch (error) { code = isOutcryError(error) && error.pointers[0].pointer; }
      const checked = check(IntentRequest, { line_items: [{}] });
      export const result = JSON.stringify({
        evaluated, text, digest: digestOf(bytes), parsed: parseCanonical(bytes).kind, strict: parseStrict(bytes).kind, code,
        fresh: newId("int").length, pointers: checked.pointers.map(({ pointer }) => pointer), ack: buildAck("d", 1, "accepted").status,
      });
    `);
    const intent = buildIntent(
      { line_items: [{ query: "café" }], context: { currency: "EUR", language: "de-AT" } },
      {
        id: intentId("bkd", "k"),
        traceId: "a".repeat(32),
        nonce: "A".repeat(22),
        clock: { now: () => 1_800_000_000_000 },
      },
    );
    const text = canonicalText(intent);
    expect(JSON.parse(String(found))).toEqual({
      evaluated: false,
      text,
      digest: digestOf(new TextEncoder().encode(text)),
      parsed: "ok",
      strict: "ok",
      code: "/line_items/0/query",
      fresh: 30,
      pointers: ["/context", "/line_items/0/query"],
      ack: "accepted",
    });
  });

  test("an import of Node's own modules would be noticed", async () => {
    await expect(realm.run('import "node:fs"')).rejects.toThrow("imports node:fs");
    await expect(realm.run('import "fs"')).rejects.toThrow("no package fs");
  });
});

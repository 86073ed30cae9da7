import { describe, expect, test } from "@jest/globals";
import { canonicalize, canonicalText } from "./canonical.js";
import { OutcryError } from "./errors.js";
import { buildIntent, type BuildIntentOptions, Intent, type IntentRequest, needOf } from "./intent.js";
import { LIMITS } from "./limits.js";
import { toRfc3339 } from "./time.js";
import { check } from "./validate.js";

const nowMs = Date.UTC(2026, 10, 20, 12);
const fixed: BuildIntentOptions = {
  id: "int_0t6722rk2chcnrm7wygf55jb54",
  sender: "outcry",
  traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
  nonce: "AAECAwQFBgcICQoLDA0ODw",
  clock: { now: () => nowMs },
};
const build = (request: unknown): Intent => buildIntent(request as IntentRequest, fixed);
const least: IntentRequest = { line_items: [{ query: "red shoes" }], context: { currency: "EUR" } };

const refusal = (request: unknown): { code: string; pointers: string[] } => {
  try {
    build(request);
  } catch (error) {
    if (error instanceof OutcryError)
      return { code: error.code, pointers: error.pointers.map(({ pointer }) => pointer) };
    throw error;
  }
  throw new Error("it was not refused");
};

describe("buildIntent", () => {
  test("tags protocol and version and makes every default explicit", () => {
    expect(build(least)).toEqual({
      protocol: "outcry.intent_broadcast",
      version: "2026-11-20",
      type: "intent",
      id: fixed.id,
      trace_id: fixed.traceId,
      sender: { id: "outcry" },
      audience: "eligible-nodes",
      created: "2026-11-20T12:00:00.000Z",
      expires: "2026-11-20T12:00:30.000Z",
      nonce: fixed.nonce,
      payload: {
        line_items: [{ id: "item-1", query: "red shoes", quantity: 1, unit: "each", constraints: [] }],
        context: { currency: "EUR", language: "en" },
        fulfilment: { method: "ship" },
        quote_type: "any",
        quote_deadline: "2026-11-20T12:00:30.000Z",
        quotes_per_node_max: 4,
      },
    });
  });

  test("makes id, trace and nonce anew when they are not given", () => {
    const [one, other] = [buildIntent(least), buildIntent(least)];
    expect([one.id === other.id, one.nonce === other.nonce, one.trace_id === other.trace_id]).toEqual([
      false,
      false,
      false,
    ]);
    expect(check(Intent, one).kind).toBe("ok");
    expect(Date.parse(one.expires) - Date.parse(one.created)).toBe(LIMITS.quoteWindowDefaultMs);
  });

  test("normalises every text: NFC, trimmed, codes in their customary case", () => {
    const { payload } = build({
      description: "\u00a0Cafe\u0301 chairs\n",
      line_items: [
        {
          query: "\tchaise de cafe\u0301 ",
          category: " Me\u0301bel > STU\u0308HLE ",
          unit: " pcs ",
          constraints: [
            { name: " colour ", operator: "in", value: [" bleu fonce\u0301 ", "noir"] },
            { name: "seat_cm", operator: "ge", value: 44.5 },
          ],
        },
      ],
      context: { currency: " eur ", region: " de-by ", language: " DE-latn-at " },
    });
    expect(payload).toMatchObject({
      description: "Café chairs",
      line_items: [
        {
          query: "chaise de café",
          category: "mébel > stühle",
          unit: "pcs",
          constraints: [
            { name: "colour", operator: "in", value: ["bleu foncé", "noir"] },
            { name: "seat_cm", operator: "ge", value: 44.5 },
          ],
        },
      ],
      context: { currency: "EUR", region: "DE-BY", language: "de-Latn-AT" },
    });
  });

  test("holds no −0, which the bytes cannot tell from 0", () => {
    const { payload } = build({
      ...least,
      line_items: [{ query: "x", constraints: [{ name: "n", operator: "ge", value: -0 }] }],
    });
    expect(Object.is(payload.line_items[0]!.constraints[0]!.value, 0)).toBe(true);
  });

  test("writes a category alike whether its accents come before or after lower case", () => {
    const categoryOf = (category: string) =>
      build({ ...least, line_items: [{ query: "x", category }] }).payload.line_items[0]!.category;
    expect(categoryOf("J\u030cazz")).toBe("\u01f0azz");
    expect(categoryOf("\u01f0azz")).toBe("\u01f0azz");
  });

  test("keeps routing and identities behind: nothing of them is in the bytes", () => {
    const intent = build({
      ...least,
      buyer_id: "buyer-of-secrets",
      routing: {
        targets: ["nod_01h455vb4pex5vsknk084sn02q"],
        capabilities: ["secret-capability"],
        allow: ["secret-friend"],
        block: ["secret-foe"],
      },
      margin: "secret-field",
    });
    expect(canonicalText(intent)).not.toMatch(/secret|nod_|routing|buyer/);
    expect(intent).toEqual(build(least));
  });
});

describe("refused with pointers", () => {
  test("every blank text at once", () => {
    expect(
      refusal({
        description: " ",
        line_items: [
          { query: "\u3000", unit: "\t" },
          { query: "ok", constraints: [{ name: "a", operator: "in", value: ["b", "\n"] }] },
        ],
        context: { currency: "EUR" },
      }),
    ).toEqual({
      code: "validation_failed",
      pointers: ["/description", "/line_items/0/query", "/line_items/0/unit", "/line_items/1/constraints/0/value/1"],
    });
  });

  test.each<[string, object, string]>([
    ["a language that is none", { context: { currency: "EUR", language: "en-u" } }, "/context/language"],
    [
      "a language that repeats a variant",
      { context: { currency: "EUR", language: "de-1901-1901" } },
      "/context/language",
    ],
    ["a currency of four letters", { context: { currency: "EURO" } }, "/context/currency"],
    ["a unit of a price as a currency", { context: { currency: "INR/kWh" } }, "/context/currency"],
    ["a region by name", { context: { currency: "EUR", region: "Germany" } }, "/context/region"],
    ["no line item", { line_items: [] }, "/line_items"],
    ["no quantity", { line_items: [{ query: "x", quantity: 0 }] }, "/line_items/0/quantity"],
    ["half a quantity", { line_items: [{ query: "x", quantity: 1.5 }] }, "/line_items/0/quantity"],
    ["a GTIN of eleven digits", { line_items: [{ query: "x", gtin: "12345678901" }] }, "/line_items/0/gtin"],
    ["an amount with cents", { budget: { max_minor: 9.99 } }, "/budget/max_minor"],
    ["an amount beyond 2^53−1", { budget: { max_minor: 2 ** 53 } }, "/budget/max_minor"],
    [
      "a number beyond 2^53−1",
      { line_items: [{ query: "x", constraints: [{ name: "n", operator: "eq", value: 1e300 }] }] },
      "/line_items/0/constraints/0/value",
    ],
    ["U+0000", { line_items: [{ query: "x\0" }] }, "/line_items/0/query"],
    ["a lone surrogate", { line_items: [{ query: "x\ud800" }] }, "/line_items/0/query"],
    ["a text too long", { description: "x".repeat(LIMITS.textCharsMax + 1) }, "/description"],
    ["a text that NFC makes too long", { description: "\u0958".repeat(LIMITS.textCharsMax) }, "/description"],
    [
      "two line items of one id",
      {
        line_items: [
          { id: "a", query: "x" },
          { id: "a", query: "y" },
        ],
      },
      "/line_items/1/id",
    ],
    [
      "an id that is another's default",
      { line_items: [{ id: "item-2", query: "x" }, { query: "y" }] },
      "/line_items/1/id",
    ],
    ["a date that does not exist", { fulfilment: { by: "2027-02-29T00:00:00.000Z" } }, "/fulfilment/by"],
    ["a deadline with an offset", { quote_deadline: "2026-11-20T13:00:00.000+01:00" }, "/quote_deadline"],
    ["more quotes than a node may send", { quotes_per_node_max: 17 }, "/quotes_per_node_max"],
    ["a target that is no node", { routing: { targets: ["*"] } }, "/routing/targets/0"],
  ])("%s", (_, change, pointer) => {
    expect(refusal({ ...least, ...change })).toEqual({ code: "validation_failed", pointers: [pointer] });
  });

  test.each([null, undefined, 7, "intent", []])("no object: %p", (request) => {
    expect(refusal(request)).toEqual({ code: "validation_failed", pointers: [""] });
  });

  test("an envelope that options would make invalid", () => {
    expect(() => buildIntent(least, { id: "int_1", traceId: "x", nonce: "short", sender: "a b" })).toThrow(
      expect.objectContaining({
        code: "validation_failed",
        pointers: ["/id", "/trace_id", "/sender/id", "/nonce"].map((pointer) => expect.objectContaining({ pointer })),
      }),
    );
  });

  test.each([
    ["in the past", -1],
    ["now", 0],
    ["too near", LIMITS.quoteWindowMinMs - 1],
    ["too far", LIMITS.quoteWindowMaxMs + 1],
  ])("a deadline %s", (_, aheadMs) => {
    expect(refusal({ ...least, quote_deadline: toRfc3339(nowMs + aheadMs) })).toEqual({
      code: "deadline_invalid",
      pointers: ["/quote_deadline"],
    });
  });

  test("and the edges of the deadline's window are inside", () => {
    for (const aheadMs of [LIMITS.quoteWindowMinMs, LIMITS.quoteWindowMaxMs]) {
      const quote_deadline = toRfc3339(nowMs + aheadMs);
      const intent = build({ ...least, quote_deadline });
      expect([intent.payload.quote_deadline, intent.expires]).toEqual([quote_deadline, quote_deadline]);
    }
  });
});

describe("what eligibility reads", () => {
  const needs = (categories: (string | undefined)[], region?: string) =>
    needOf(
      build({
        line_items: categories.map((category) => ({ query: "x", category })),
        context: { currency: "EUR", region },
      }).payload,
    );

  test("is each category once, and the region", () => {
    expect(needs(["Shoes", "shoes ", "Hats"], "de")).toEqual({ categories: ["shoes", "hats"], region: "DE" });
  });

  test("is no category at all when one line item could be anyone's", () => {
    expect(needs(["Shoes", undefined])).toEqual({ categories: [] });
  });
});

test("the largest body becomes an intent that nodes take", () => {
  // NFC writes U+1D160 as three characters of four bytes each: no text grows more.
  const line_items = Array.from({ length: 24 }, () => ({ query: "\u{1d160}".repeat(LIMITS.textCharsMax / 3) }));
  const body = { ...least, line_items };
  const bodyBytes = new TextEncoder().encode(JSON.stringify(body)).length;
  const bytes = canonicalize(build(body)).length;
  expect([bodyBytes > 0.95 * LIMITS.bodyBytesMax, bodyBytes <= LIMITS.bodyBytesMax]).toEqual([true, true]);
  expect([bytes > LIMITS.bodyBytesMax, bytes <= LIMITS.intentBytesMax]).toEqual([true, true]);
});

import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { canonicalize, canonicalText } from "./canonical.js";
import { buildIntent, Intent, type IntentRequest } from "./intent.js";
import { LIMITS } from "./limits.js";
import { parseCanonical } from "./parse-strict.js";
import { toRfc3339 } from "./time.js";
import { check } from "./validate.js";

const nowMs = Date.UTC(2026, 10, 20, 12);
const build = (request: unknown): Intent =>
  buildIntent(request as IntentRequest, {
    id: "int_0t6722rk2chcnrm7wygf55jb54",
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    nonce: "AAECAwQFBgcICQoLDA0ODw",
    clock: { now: () => nowMs },
  });

// Texts that are hard on normal forms: accents apart and together, blanks of all kinds, letters that grow in lower case.
const hardText = fc
  .array(
    fc.constantFrom(
      ..."aAßJzİΣσ한ㅎéÅÅ漢😀".split(""),
      "e\u0301",
      "J\u030c",
      "\u0344",
      "\u0958",
      "\u1e9b\u0323",
      "\ufb2c",
      "\u200d",
      " ",
      "\u00a0",
      "\u3000",
      "\ufeff",
      "\u2000",
      "\u0301",
      "\n",
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map((parts) => parts.join("").replaceAll(/\p{Surrogate}/gu, "x"));
const text = fc
  .oneof(hardText, fc.string({ unit: "binary", minLength: 1, maxLength: 20 }))
  .filter((one) => !one.includes("\0") && one.normalize("NFC").trim() !== "");
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const wish = fc.record(
  {
    description: text,
    line_items: fc.array(
      fc.record(
        {
          query: text,
          category: text,
          gtin: fc.constantFrom("12345678", "012345678905", "4006381333931", "10012345678902"),
          quantity: fc.integer({ min: 1, max: 1_000_000 }),
          unit: fc.constantFrom(" kg", "each", "m\u00b2 "),
          constraints: fc.array(
            fc.record({
              name: text,
              operator: fc.constantFrom("eq", "in", "contains", "le"),
              value: fc.oneof(
                text,
                fc.boolean(),
                fc.double({ min: -1e9, max: 1e9, noNaN: true }),
                fc.array(text, { minLength: 1, maxLength: 3 }),
              ),
            }),
            { maxLength: 3 },
          ),
        },
        { requiredKeys: ["query"] },
      ),
      { minLength: 1, maxLength: 4 },
    ),
    context: fc.record(
      {
        currency: fc.constantFrom("eur", " USD", "jpY "),
        region: fc.constantFrom("de", " US-ca", "IN"),
        language: fc.constantFrom("en", "DE-at", "zh-hant-TW ", "iw", "sr-latn-rs", "sgn-us", "cmn"),
      },
      { requiredKeys: ["currency"] },
    ),
    budget: fc.record({ max_minor: fc.maxSafeNat() }),
    fulfilment: fc.record(
      { method: fc.constantFrom("ship", "pickup"), by: fc.constant("2026-12-01T00:00:00.000Z") },
      { requiredKeys: [] },
    ),
    quote_type: fc.constantFrom("firm", "indicative", "any"),
    quote_deadline: fc
      .integer({ min: LIMITS.quoteWindowMinMs, max: LIMITS.quoteWindowMaxMs })
      .map((ms) => toRfc3339(nowMs + ms)),
    quotes_per_node_max: fc.integer({ min: 1, max: LIMITS.quotesPerNodeMax }),
    buyer_id: optional(fc.constant("42")).map((id) => id ?? "43"),
  },
  { requiredKeys: ["line_items", "context"] },
);

/** The same wish in another spelling: decomposed, with blanks around, in the other case where case says nothing. */
function respelled(request: IntentRequest): IntentRequest {
  const spell = (value: string) => ` \u3000${value.normalize("NFD")}\t`;
  const { context } = request;
  return {
    ...request,
    ...(request.description === undefined ? {} : { description: spell(request.description) }),
    line_items: request.line_items.map((item) => ({
      ...item,
      query: spell(item.query),
      ...(item.category === undefined ? {} : { category: spell(item.category) }),
      ...(item.constraints === undefined
        ? {}
        : { constraints: item.constraints.map((one) => ({ ...one, name: spell(one.name) })) }),
    })),
    context: {
      currency: ` ${context.currency.toUpperCase()}`,
      ...(context.region === undefined ? {} : { region: context.region.toLowerCase() }),
      ...(context.language === undefined ? {} : { language: context.language.toUpperCase() }),
    },
  };
}

describe("for any wish", () => {
  const runs = { numRuns: 500 };

  test("the payload is a fixed point: built from itself it is itself", () => {
    fc.assert(
      fc.property(wish, (request) => {
        const { payload } = build(request);
        expect(build(payload).payload).toEqual(payload);
      }),
      runs,
    );
  });

  test("another spelling gives the same bytes", () => {
    fc.assert(
      fc.property(wish, (request) => {
        expect(canonicalText(build(respelled(request as IntentRequest)))).toBe(canonicalText(build(request)));
      }),
      runs,
    );
  });

  test("the bytes are canonical, fit the schema that nodes check, and hold no unnormalised text", () => {
    fc.assert(
      fc.property(wish, (request) => {
        const intent = build(request);
        const parsed = parseCanonical(canonicalize(intent));
        expect(parsed).toEqual({ kind: "ok", value: intent });
        expect(check(Intent, intent).kind).toBe("ok");
        JSON.stringify(intent, (_, value: unknown) => {
          if (typeof value === "string") expect(value).toBe(value.normalize("NFC").trim());
          return value;
        });
      }),
      runs,
    );
  });
});

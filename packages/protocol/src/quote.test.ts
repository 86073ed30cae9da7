import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { OutcryError } from "./errors.js";
import { quoteId } from "./ids.js";
import { buildIntent, type Intent } from "./intent.js";
import { LIMITS } from "./limits.js";
import { Currency, Money, sumMinor } from "./money.js";
import { type BuildQuoteOptions, buildQuote, Quote, QuoteAnswer, type QuoteInput, totalsAgree } from "./quote.js";
import { check } from "./validate.js";

const nowMs = Date.UTC(2026, 10, 20, 12);
const clock = { now: () => nowMs };
const nodeId = "nod_01h455vb4pex5vsknk084sn02r";
const intent: Intent = buildIntent(
  {
    line_items: [
      { id: "a", query: "shoes", quantity: 3 },
      { id: "b", query: "hat" },
    ],
    context: { currency: "EUR" },
  },
  { id: "int_0t6722rk2chcnrm7wygf55jb54", sender: "outcry-1", clock },
);
const options: BuildQuoteOptions = { nodeId, ordinal: 0, requestDigest: `sha256:${"A".repeat(43)}`, clock };
const build = (input: QuoteInput, more: Partial<BuildQuoteOptions> = {}): Quote =>
  buildQuote(intent, input, { ...options, ...more });

const refusal = (input: QuoteInput, more: Partial<BuildQuoteOptions> = {}): [code: string, ...pointers: string[]] => {
  try {
    build(input, more);
  } catch (error) {
    if (error instanceof OutcryError) return [error.code, ...error.pointers.map(({ pointer }) => pointer)];
    throw error;
  }
  throw new Error("it was not refused");
};

describe("buildQuote", () => {
  test("binds the quote to the intent, to the node and to the bytes", () => {
    const quote = build({ amountMinor: 1_999 }, { nonce: "AAECAwQFBgcICQoLDA0ODw" });
    expect(quote).toEqual({
      protocol: "outcry.intent_broadcast",
      version: "2026-11-20",
      type: "quote",
      id: quoteId(intent.id, nodeId, 0),
      trace_id: intent.trace_id,
      sender: { id: nodeId },
      audience: "outcry-1",
      created: "2026-11-20T12:00:00.000Z",
      expires: "2026-11-20T12:15:00.000Z",
      nonce: "AAECAwQFBgcICQoLDA0ODw",
      in_reply_to: intent.id,
      request_digest: options.requestDigest,
      payload: {
        intent_id: intent.id,
        ordinal: 0,
        quote_type: "firm",
        line_items: [{ line_item_id: "a", quantity: 1, unit_amount_minor: 1_999, amount_minor: 1_999 }],
        charges: [],
        total: { amount_minor: 1_999, currency: "EUR" },
        valid_until: "2026-11-20T12:15:00.000Z",
      },
    });
  });

  test("takes quantities from the intent, and adds charges to the total", () => {
    const { payload } = build({
      lineItems: [
        { lineItemId: "a", unitAmountMinor: 500, sku: "S-1", description: "red" },
        { lineItemId: "b", unitAmountMinor: 250, quantity: 2 },
      ],
      charges: [{ kind: "shipping", amountMinor: 490 }],
      quoteType: "indicative",
      validForMs: 60_000,
      deliveryBy: "2026-12-01T00:00:00.000Z",
      terms: "30 days",
      supersedes: quoteId(intent.id, nodeId, 1),
    });
    expect(payload.line_items.map((line) => [line.quantity, line.amount_minor])).toEqual([
      [3, 1_500],
      [2, 500],
    ]);
    expect(payload.total).toEqual({ amount_minor: 2_490, currency: "EUR" });
    expect(payload).toMatchObject({
      quote_type: "indicative",
      valid_until: "2026-11-20T12:01:00.000Z",
      terms: "30 days",
    });
    expect(payload.line_items[0]).toMatchObject({ sku: "S-1", description: "red" });
  });

  test("gives each ordinal its own id, and the same one each time", () => {
    const ids = Array.from(
      { length: LIMITS.quotesPerNodeMax },
      (_, ordinal) => build({ amountMinor: 1 }, { ordinal }).id,
    );
    expect(new Set(ids).size).toBe(LIMITS.quotesPerNodeMax);
    expect(build({ amountMinor: 2 }, { ordinal: 3 }).id).toBe(ids[3]);
    expect(build({ amountMinor: 1 }, { nodeId: "nod_01h455vb4pex5vsknk084sn02s" }).id).not.toBe(ids[0]);
  });

  test.each<[string, QuoteInput, ReturnType<typeof refusal>]>([
    ["no price", {}, ["validation_failed"]],
    [
      "a line item that the intent does not have",
      { lineItems: [{ lineItemId: "c", unitAmountMinor: 1 }] },
      ["quote_line_item_unknown"],
    ],
    ["no line item", { lineItems: [] }, ["validation_failed", "/payload/line_items"]],
    [
      "a total beyond 2^53−1",
      {
        lineItems: [{ lineItemId: "b", unitAmountMinor: Number.MAX_SAFE_INTEGER }],
        charges: [{ kind: "tax", amountMinor: 1 }],
      },
      ["validation_failed"],
    ],
    [
      "a product beyond 2^53−1",
      { lineItems: [{ lineItemId: "a", unitAmountMinor: Number.MAX_SAFE_INTEGER }] },
      ["validation_failed"],
    ],
    ["half a cent", { amountMinor: 0.5 }, ["validation_failed"]],
    [
      "half cents that add up",
      { lineItems: [{ lineItemId: "b", unitAmountMinor: 0.5, quantity: 2 }] },
      ["validation_failed", "/payload/line_items/0/unit_amount_minor"],
    ],
    [
      "a negative price",
      { amountMinor: -1 },
      [
        "validation_failed",
        "/payload/line_items/0/unit_amount_minor",
        "/payload/line_items/0/amount_minor",
        "/payload/total/amount_minor",
      ],
    ],
    [
      "a discount as a negative charge",
      { amountMinor: 5, charges: [{ kind: "discount", amountMinor: -1 }] },
      ["validation_failed", "/payload/charges/0/amount_minor"],
    ],
    ["not a number", { amountMinor: Number.NaN }, ["validation_failed"]],
    ["a validity that has ended", { amountMinor: 1, validForMs: 0 }, ["validation_failed"]],
    ["an endless validity", { amountMinor: 1, validForMs: Infinity }, ["validation_failed"]],
    [
      "a delivery date that does not exist",
      { amountMinor: 1, deliveryBy: "2027-02-30T00:00:00.000Z" },
      ["validation_failed", "/payload/delivery_by"],
    ],
    [
      "a predecessor that is no quote",
      { amountMinor: 1, supersedes: "last one" },
      ["validation_failed", "/payload/supersedes"],
    ],
  ])("refuses %s", (_, input, expected) => {
    expect(refusal(input)).toEqual(expected);
  });

  test("refuses an ordinal that no intent allows", () => {
    expect(refusal({ amountMinor: 1 }, { ordinal: LIMITS.quotesPerNodeMax })).toEqual([
      "validation_failed",
      "/payload/ordinal",
    ]);
  });
});

const price = fc.integer({ min: 0, max: 1_000_000_000 });
const input: fc.Arbitrary<QuoteInput> = fc.record({
  lineItems: fc.array(
    fc.record({
      lineItemId: fc.constantFrom("a", "b"),
      unitAmountMinor: price,
      quantity: fc.integer({ min: 1, max: 1_000 }),
    }),
    { minLength: 1, maxLength: 5 },
  ),
  charges: fc.array(fc.record({ kind: fc.constantFrom("shipping", "tax"), amountMinor: price }), { maxLength: 3 }),
});

describe("totals", () => {
  test("of every built quote agree, and fit the schema", () => {
    fc.assert(
      fc.property(input, (one) => {
        const quote = build(one);
        expect(totalsAgree(quote.payload)).toBe(true);
        expect(check(Quote, quote).kind).toBe("ok");
      }),
    );
  });

  test("agree no longer when any one amount is another", () => {
    fc.assert(
      fc.property(input, fc.nat(), fc.integer({ min: 1, max: 1_000 }), (one, pick, more) => {
        const { payload } = structuredClone(build(one));
        const places = [
          ...payload.line_items.flatMap((line) => [
            () => (line.amount_minor += more),
            () => (line.unit_amount_minor += more),
          ]),
          ...payload.charges.map((charge) => () => (charge.amount_minor += more)),
          () => (payload.total.amount_minor += more),
        ];
        places[pick % places.length]!();
        expect(totalsAgree(payload)).toBe(false);
      }),
    );
  });

  test("do not agree by rounding beyond 2^53", () => {
    const { payload } = structuredClone(build({ amountMinor: 1 }));
    const line = {
      ...payload.line_items[0]!,
      quantity: 3,
      unit_amount_minor: 3_002_399_751_580_331,
      amount_minor: Number.MAX_SAFE_INTEGER,
    };
    const total = { amount_minor: line.amount_minor, currency: "EUR" };
    // 3 × 3,002,399,751,580,331 = 2^53 + 1, which no double holds.
    expect(totalsAgree({ ...payload, line_items: [line], total })).toBe(false);
  });
});

describe("money", () => {
  test("is summed exactly, or not at all", () => {
    expect(sumMinor([])).toBe(0);
    expect(sumMinor([1, Number.MAX_SAFE_INTEGER - 1])).toBe(Number.MAX_SAFE_INTEGER);
    expect(sumMinor([1, Number.MAX_SAFE_INTEGER])).toBeUndefined();
    expect(sumMinor([0.5, 0.5])).toBeUndefined();
    expect(sumMinor([Number.NaN])).toBeUndefined();
  });

  test.each<[unknown, "ok" | "invalid"]>([
    [{ amount_minor: 0, currency: "JPY" }, "ok"],
    [{ amount_minor: -1, currency: "JPY" }, "invalid"],
    [{ amount_minor: 1.5, currency: "JPY" }, "invalid"],
    [{ amount_minor: "1", currency: "JPY" }, "invalid"],
    [{ amount_minor: 2 ** 53, currency: "JPY" }, "invalid"],
    [{ amount_minor: 1, currency: "jpy" }, "invalid"],
    [{ amount_minor: 1 }, "invalid"],
  ])("%j is %s", (value, kind) => {
    expect(check(Money, value).kind).toBe(kind);
  });

  test("has a currency of three capital letters", () => {
    expect(["EUR", "eur", "EURO", "E1R", "EUR\n"].map((code) => check(Currency, code).kind)).toEqual([
      "ok",
      ...Array<string>(4).fill("invalid"),
    ]);
  });
});

describe("the answer to a quote", () => {
  test.each<[unknown, "ok" | "invalid"]>([
    [{ kind: "stored", quote_id: quoteId(intent.id, nodeId, 0), digest: options.requestDigest }, "ok"],
    [{ kind: "stored", quote_id: quoteId(intent.id, nodeId, 0), digest: options.requestDigest, later: true }, "ok"],
    [{ kind: "refused", code: "a_code_of_tomorrow", detail: "x", temporary: true }, "ok"],
    [{ kind: "refused", code: "quote_late", detail: "x" }, "invalid"],
    [{ kind: "stored" }, "invalid"],
    [{ kind: "maybe" }, "invalid"],
  ])("%j is %s", (value, kind) => {
    expect(check(QuoteAnswer, value).kind).toBe(kind);
  });
});

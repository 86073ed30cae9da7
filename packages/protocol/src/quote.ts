// A node's signed answer with a price, bound to the intent's bytes by request_digest.

import Type, { type Static } from "typebox";
import { AmountMinor, Money, sumMinor } from "./money.js";
import { PROTOCOL, PROTOCOL_VERSION, Reply, Timestamp } from "./envelope.js";
import { newNonce, quoteId } from "./ids.js";
import type { Intent } from "./intent.js";
import { LIMITS } from "./limits.js";
import { OutcryError } from "./errors.js";
import { type Clock, systemClock, toRfc3339 } from "./time.js";

const text = (max: number = LIMITS.textCharsMax) => Type.String({ minLength: 1, maxLength: max });

export const QuoteLine = Type.Object({
  line_item_id: Type.String({ pattern: "^[a-z0-9_-]{1,32}$" }),
  description: Type.Optional(text()),
  sku: Type.Optional(text(128)),
  quantity: Type.Integer({ minimum: 1 }),
  unit_amount_minor: AmountMinor,
  amount_minor: AmountMinor,
});

export const Charge = Type.Object({ kind: text(64), amount_minor: AmountMinor });

export const QuotePayload = Type.Object({
  intent_id: Type.String({ pattern: "^int_[0-9a-z]{26}$" }),
  ordinal: Type.Integer({ minimum: 0, maximum: LIMITS.quotesPerNodeMax - 1 }),
  quote_type: Type.Union([Type.Literal("firm"), Type.Literal("indicative")]),
  line_items: Type.Array(QuoteLine, { minItems: 1, maxItems: LIMITS.lineItemsMax }),
  charges: Type.Array(Charge, { maxItems: 32 }),
  total: Money,
  valid_until: Timestamp,
  delivery_by: Type.Optional(Timestamp),
  terms: Type.Optional(text()),
  supersedes: Type.Optional(Type.String({ pattern: "^quo_[0-9a-z]{26}$" })),
});
export type QuotePayload = Static<typeof QuotePayload>;

export const Quote = Reply("quote", QuotePayload);
export type Quote = Static<typeof Quote>;

/** The answer to a quote request on NATS. `digest` is that of the bytes that are stored. */
export const QuoteAnswer = Type.Union([
  Type.Object({ kind: Type.Literal("stored"), quote_id: Type.String(), digest: Type.String() }),
  Type.Object({ kind: Type.Literal("refused"), code: Type.String(), detail: Type.String(), temporary: Type.Boolean() }),
]);
export type QuoteAnswer = Static<typeof QuoteAnswer>;

/** What a node hears of a stored quote on `ucp.v1.node.<node>.notice`. */
export const Notice = Type.Object({
  type: Type.Union([Type.Literal("quote_ranked"), Type.Literal("quote_refused")]),
  intent_id: Type.String(),
  quote_id: Type.String(),
  code: Type.Optional(Type.String()),
  detail: Type.Optional(Type.String()),
});
export type Notice = Static<typeof Notice>;

/** What a seller says; the rest of the quote follows from the intent. */
export interface QuoteInput {
  /** Price of one unit of each line item in minor units, or of all with `amountMinor`. */
  lineItems?: Array<{
    lineItemId: string;
    unitAmountMinor: number;
    quantity?: number;
    sku?: string;
    description?: string;
  }>;
  /** Shorthand: one amount for the whole first line item. */
  amountMinor?: number;
  charges?: Array<{ kind: string; amountMinor: number }>;
  quoteType?: "firm" | "indicative";
  validForMs?: number;
  deliveryBy?: string;
  terms?: string;
  supersedes?: string;
}

export interface BuildQuoteOptions {
  nodeId: string;
  ordinal: number;
  /** Digest of the intent's bytes as received. */
  requestDigest: string;
  nonce?: string;
  clock?: Clock;
}

/** Completes a seller's input into the envelope to sign. Throws OutcryError validation_failed when amounts overflow. */
export function buildQuote(intent: Intent, input: QuoteInput, options: BuildQuoteOptions): Quote {
  const nowMs = (options.clock ?? systemClock).now();
  const lines = quoteLines(intent, input);
  const charges = (input.charges ?? []).map(({ kind, amountMinor }) => ({ kind, amount_minor: amountMinor }));
  const total = sumMinor([...lines.map((line) => line.amount_minor), ...charges.map((charge) => charge.amount_minor)]);
  if (total === undefined) throw new OutcryError("validation_failed", "the quote's total is beyond 2^53−1 minor units");
  const validUntil = toRfc3339(nowMs + (input.validForMs ?? 15 * 60_000));
  return {
    protocol: PROTOCOL,
    version: PROTOCOL_VERSION,
    type: "quote",
    id: quoteId(intent.id, options.nodeId, options.ordinal),
    trace_id: intent.trace_id,
    sender: { id: options.nodeId },
    audience: intent.sender.id,
    created: toRfc3339(nowMs),
    expires: validUntil,
    nonce: options.nonce ?? newNonce(),
    in_reply_to: intent.id,
    request_digest: options.requestDigest,
    payload: {
      intent_id: intent.id,
      ordinal: options.ordinal,
      quote_type: input.quoteType ?? "firm",
      line_items: lines,
      charges,
      total: { amount_minor: total, currency: intent.payload.context.currency },
      valid_until: validUntil,
      ...(input.deliveryBy === undefined ? {} : { delivery_by: input.deliveryBy }),
      ...(input.terms === undefined ? {} : { terms: input.terms }),
      ...(input.supersedes === undefined ? {} : { supersedes: input.supersedes }),
    },
  };
}

function quoteLines(intent: Intent, input: QuoteInput): Static<typeof QuoteLine>[] {
  const first = intent.payload.line_items[0]!;
  const asked = new Map(intent.payload.line_items.map((item) => [item.id, item]));
  if (input.lineItems === undefined) {
    if (input.amountMinor === undefined)
      throw new OutcryError("validation_failed", "a quote needs amountMinor or lineItems");
    // The whole amount stands for all units: as one unit, so that no division can lose a minor unit.
    return [
      { line_item_id: first.id, quantity: 1, unit_amount_minor: input.amountMinor, amount_minor: input.amountMinor },
    ];
  }
  return input.lineItems.map((line) => {
    const quantity = line.quantity ?? asked.get(line.lineItemId)?.quantity ?? 1;
    return {
      line_item_id: line.lineItemId,
      ...(line.description === undefined ? {} : { description: line.description }),
      ...(line.sku === undefined ? {} : { sku: line.sku }),
      quantity,
      unit_amount_minor: line.unitAmountMinor,
      amount_minor: quantity * line.unitAmountMinor,
    };
  });
}

/** True when amounts add up: each line is quantity × unit, the total is the sum of lines and charges. */
export function totalsAgree(payload: QuotePayload): boolean {
  const linesAgree = payload.line_items.every((line) => line.quantity * line.unit_amount_minor === line.amount_minor);
  const amounts = [...payload.line_items, ...payload.charges].map((entry) => entry.amount_minor);
  return linesAgree && sumMinor(amounts) === payload.total.amount_minor;
}

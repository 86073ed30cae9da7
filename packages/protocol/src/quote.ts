// A node's signed answer with a price, bound to the intent's bytes by request_digest.

import Type, { type Static } from "typebox";
import { AmountMinor, Money, sumMinor } from "./money.js";
import { Digest, PROTOCOL, PROTOCOL_VERSION, Reply, Timestamp } from "./envelope.js";
import { IntentId, LineItemId, QuoteId } from "./id-schemas.js";
import { newNonce, quoteId } from "./ids.js";
import type { Intent } from "./intent.js";
import { LIMITS } from "./limits.js";
import { type ErrorPointer, OutcryError } from "./errors.js";
import { type Clock, RFC3339_MS_MAX, systemClock, toRfc3339 } from "./time.js";
import { atRevision, Revision, revisionOf } from "./revision.js";
import { check } from "./validate.js";

const text = (max: number = LIMITS.textCharsMax) => Type.String({ minLength: 1, maxLength: max });

const QuoteLine = Type.Object({
  line_item_id: LineItemId,
  description: Type.Optional(text()),
  sku: Type.Optional(text(128)),
  quantity: Type.Integer({ minimum: 1 }),
  unit_amount_minor: AmountMinor,
  amount_minor: AmountMinor,
});

const Charge = Type.Object({ kind: text(64), amount_minor: AmountMinor });

export const QuotePayload = Type.Object({
  intent_id: IntentId,
  revision: Type.Optional(Revision),
  ordinal: Type.Integer({ minimum: 0, maximum: LIMITS.quotesPerNodeMax - 1 }),
  quote_type: Type.Union([Type.Literal("firm"), Type.Literal("indicative")]),
  line_items: Type.Array(QuoteLine, { minItems: 1, maxItems: LIMITS.lineItemsMax }),
  charges: Type.Array(Charge, { maxItems: 32 }),
  total: Money,
  valid_until: Timestamp,
  delivery_by: Type.Optional(Timestamp),
  terms: Type.Optional(text()),
  supersedes: Type.Optional(QuoteId),
});
export type QuotePayload = Static<typeof QuotePayload>;

export const Quote = Reply("quote", QuotePayload, QuoteId);
export type Quote = Static<typeof Quote>;

/** The answer to a quote request on NATS. `digest` is that of the bytes that are stored. */
export const QuoteAnswer = Type.Union([
  Type.Object({ kind: Type.Literal("stored"), quote_id: QuoteId, digest: Digest }),
  Type.Object({
    kind: Type.Literal("refused"),
    code: Type.String(),
    detail: Type.String(),
    temporary: Type.Boolean(),
    retry_after_ms: Type.Optional(Type.Integer({ minimum: 0, description: "the same quote, not before" })),
  }),
]);
export type QuoteAnswer = Static<typeof QuoteAnswer>;

const VALIDITY_DEFAULT_MS = 15 * 60_000; // long enough for a person to decide

/** What a seller says; the rest of the quote follows from the intent. */
export interface QuoteInput {
  /** A price for one unit of each line item that is offered, in minor units; the quantity is the intent's unless given. */
  lineItems?: Array<{
    lineItemId: string;
    unitAmountMinor: number;
    quantity?: number;
    sku?: string;
    description?: string;
  }>;
  /** Shorthand for a single line item: one amount for all of the intent's first. */
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

/**
 * Completes a seller's input into the envelope to sign. Throws OutcryError quote_line_item_unknown, and validation_failed
 * for amounts, texts and times that no quote may hold (pointers into the quote).
 */
export function buildQuote(intent: Intent, input: QuoteInput, options: BuildQuoteOptions): Quote {
  const nowMs = (options.clock ?? systemClock).now();
  const lines = quoteLines(intent, input);
  const charges = (input.charges ?? []).map(({ kind, amountMinor }) => ({ kind, amount_minor: amountMinor }));
  const validUntil = validUntilOf(nowMs, input.validForMs ?? VALIDITY_DEFAULT_MS);
  const revision = revisionOf(intent.payload);
  const quote = {
    protocol: PROTOCOL,
    version: PROTOCOL_VERSION,
    type: "quote",
    id: quoteId(intent.id, options.nodeId, options.ordinal, revision),
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
      ...atRevision(revision),
      ordinal: options.ordinal,
      quote_type: input.quoteType ?? "firm",
      line_items: lines,
      charges,
      total: { amount_minor: totalOf(lines, charges), currency: intent.payload.context.currency },
      valid_until: validUntil,
      ...(input.deliveryBy === undefined ? {} : { delivery_by: input.deliveryBy }),
      ...(input.terms === undefined ? {} : { terms: input.terms }),
      ...(input.supersedes === undefined ? {} : { supersedes: input.supersedes }),
    },
  } as const;
  const checked = check(Quote, quote);
  if (checked.kind === "ok") return checked.value;
  const [{ pointer, detail }] = checked.pointers as [ErrorPointer, ...ErrorPointer[]];
  throw new OutcryError("validation_failed", `the quote's ${pointer} ${detail}`, { pointers: checked.pointers });
}

type Line = Static<typeof QuoteLine>;

function quoteLines(intent: Intent, input: QuoteInput): Line[] {
  const asked = new Map(intent.payload.line_items.map((item) => [item.id, item]));
  if (input.lineItems !== undefined) return input.lineItems.map((line) => quoteLine(asked.get(line.lineItemId), line));
  if (input.amountMinor === undefined) {
    throw new OutcryError("validation_failed", "a quote needs amountMinor or lineItems");
  }
  // The whole amount stands for all units: as one unit, so that no division can lose a minor unit.
  const { id } = intent.payload.line_items[0]!;
  return [{ line_item_id: id, quantity: 1, unit_amount_minor: input.amountMinor, amount_minor: input.amountMinor }];
}

function quoteLine(asked: { quantity: number } | undefined, line: NonNullable<QuoteInput["lineItems"]>[number]): Line {
  if (asked === undefined) {
    throw new OutcryError("quote_line_item_unknown", `the intent has no line item ${line.lineItemId}`);
  }
  const quantity = line.quantity ?? asked.quantity;
  return {
    line_item_id: line.lineItemId,
    ...(line.description === undefined ? {} : { description: line.description }),
    ...(line.sku === undefined ? {} : { sku: line.sku }),
    quantity,
    unit_amount_minor: line.unitAmountMinor,
    amount_minor: quantity * line.unitAmountMinor,
  };
}

function totalOf(lines: readonly Line[], charges: readonly Static<typeof Charge>[]): number {
  const total = sumMinor([...lines, ...charges].map((entry) => entry.amount_minor));
  if (total !== undefined) return total;
  throw new OutcryError("validation_failed", "the quote's amounts are not integers of minor units up to 2^53−1");
}

function validUntilOf(nowMs: number, validForMs: number): string {
  if (validForMs > 0 && nowMs + validForMs <= RFC3339_MS_MAX) return toRfc3339(nowMs + validForMs);
  throw new OutcryError("validation_failed", "validForMs must be positive and end before the year 10000");
}

/** True when amounts add up: each line is quantity × unit, the total is the sum of lines and charges. */
export function totalsAgree(payload: QuotePayload): boolean {
  const linesAgree = payload.line_items.every((line) => line.quantity * line.unit_amount_minor === line.amount_minor);
  const amounts = [...payload.line_items, ...payload.charges].map((entry) => entry.amount_minor);
  return linesAgree && sumMinor(amounts) === payload.total.amount_minor;
}

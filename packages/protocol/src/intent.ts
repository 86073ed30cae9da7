// The intent: what a buyer wants, as nodes see it. Routing and identities are kept apart in IntentRequest and never sent to a node.

import Type, { type Static } from "typebox";
import { AmountMinor, Currency } from "./money.js";
import { Envelope, PROTOCOL, PROTOCOL_VERSION, Timestamp, Token } from "./envelope.js";
import { newId, newNonce } from "./ids.js";
import { LIMITS } from "./limits.js";
import { OutcryError } from "./errors.js";
import { type Clock, parseRfc3339, systemClock, toRfc3339 } from "./time.js";

const text = (max: number = LIMITS.textCharsMax) => Type.String({ minLength: 1, maxLength: max });
const tag = text(LIMITS.tagCharsMax);
const tags = (max: number) => Type.Array(tag, { maxItems: max, uniqueItems: true });

export const Constraint = Type.Object({
  name: tag,
  operator: Type.Enum(["eq", "ne", "lt", "le", "gt", "ge", "in", "contains"]),
  value: Type.Union([text(), Type.Number(), Type.Boolean(), Type.Array(text(), { minItems: 1, maxItems: 64 })]),
});

export const LineItem = Type.Object({
  id: Type.String({ pattern: "^[a-z0-9_-]{1,32}$" }),
  query: text(),
  category: Type.Optional(tag),
  gtin: Type.Optional(Type.String({ pattern: "^\\d{8}(\\d{4,6})?$", description: "GTIN-8, -12, -13 or -14" })),
  quantity: Type.Integer({ minimum: 1, maximum: 1_000_000_000 }),
  unit: text(32),
  constraints: Type.Array(Constraint, { maxItems: LIMITS.constraintsMax }),
});

export const IntentContext = Type.Object({
  currency: Currency,
  region: Type.Optional(
    Type.String({ pattern: "^[A-Z]{2}(-[A-Z0-9]{1,3})?$", description: "ISO 3166-1 alpha-2, or a 3166-2 subdivision" }),
  ),
  language: Type.String({ pattern: "^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", description: "BCP 47" }),
});

export const Budget = Type.Object({ max_minor: AmountMinor });

export const Fulfilment = Type.Object({
  method: Type.Enum(["ship", "pickup", "digital", "service"]),
  by: Type.Optional(Timestamp),
});

export const IntentPayload = Type.Object({
  description: Type.Optional(text()),
  line_items: Type.Array(LineItem, { minItems: 1, maxItems: LIMITS.lineItemsMax }),
  context: IntentContext,
  budget: Type.Optional(Budget),
  fulfilment: Fulfilment,
  quote_type: Type.Union([Type.Literal("firm"), Type.Literal("indicative"), Type.Literal("any")]),
  quote_deadline: Timestamp,
  quotes_per_node_max: Type.Integer({ minimum: 1, maximum: LIMITS.quotesPerNodeMax }),
});
export type IntentPayload = Static<typeof IntentPayload>;

export const Intent = Envelope("intent", IntentPayload);
export type Intent = Static<typeof Intent>;

/** Who shall hear it: recorded, never sent. `targets` replaces the filters by category and region. */
export const Routing = Type.Object(
  {
    targets: Type.Optional(
      Type.Array(Type.String({ pattern: "^nod_[0-9a-z]{26}$" }), { minItems: 1, maxItems: LIMITS.routingListMax }),
    ),
    capabilities: Type.Optional(tags(LIMITS.tagsMax)),
    allow: Type.Optional(tags(LIMITS.routingListMax)),
    block: Type.Optional(tags(LIMITS.routingListMax)),
  },
  { description: "Who may hear the intent. Kept in the record, never sent to a node." },
);
export type Routing = Static<typeof Routing>;

/** What a marketplace posts. Everything but the line items' queries and the currency has a default. */
export const IntentRequest = Type.Object({
  description: Type.Optional(text()),
  line_items: Type.Array(
    Type.Object({
      id: Type.Optional(Type.String({ pattern: "^[a-z0-9_-]{1,32}$" })),
      query: text(),
      category: Type.Optional(tag),
      gtin: Type.Optional(LineItem.properties.gtin),
      quantity: Type.Optional(LineItem.properties.quantity),
      unit: Type.Optional(text(32)),
      constraints: Type.Optional(LineItem.properties.constraints),
    }),
    { minItems: 1, maxItems: LIMITS.lineItemsMax },
  ),
  context: Type.Object({
    currency: Type.String({ pattern: "^\\s*[A-Za-z]{3}\\s*$" }),
    region: Type.Optional(Type.String({ pattern: "^\\s*[A-Za-z]{2}(-[A-Za-z0-9]{1,3})?\\s*$" })),
    language: Type.Optional(Type.String({ pattern: "^\\s*[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*\\s*$" })),
  }),
  budget: Type.Optional(Budget),
  fulfilment: Type.Optional(Type.Partial(Fulfilment)),
  quote_type: Type.Optional(IntentPayload.properties.quote_type),
  quote_deadline: Type.Optional(Timestamp),
  quotes_per_node_max: Type.Optional(IntentPayload.properties.quotes_per_node_max),
  buyer_id: Type.Optional(Token),
  routing: Type.Optional(Routing),
});
export type IntentRequest = Static<typeof IntentRequest>;

export interface BuildIntentOptions {
  id?: string;
  /** The broadcasting service, never the buyer. */
  sender?: string;
  traceId?: string;
  nonce?: string;
  clock?: Clock;
}

/**
 * Normalises a payload (NFC, trimmed, currency upper-case, defaults explicit) and tags it with protocol and version.
 * Throws OutcryError validation_failed (text that is empty once trimmed) and deadline_invalid.
 */
export function buildIntent(request: IntentRequest, options: BuildIntentOptions = {}): Intent {
  const clock = options.clock ?? systemClock;
  const nowMs = clock.now();
  const payload = normalisePayload(request, nowMs);
  return {
    protocol: PROTOCOL,
    version: PROTOCOL_VERSION,
    type: "intent",
    id: options.id ?? newId("int", clock),
    trace_id: options.traceId ?? newTraceId(),
    sender: { id: options.sender ?? "outcry" },
    audience: "eligible-nodes",
    created: toRfc3339(nowMs),
    expires: payload.quote_deadline,
    nonce: options.nonce ?? newNonce(),
    payload,
  };
}

function normalisePayload(request: IntentRequest, nowMs: number): IntentPayload {
  const { context, budget, fulfilment } = request;
  return {
    ...(request.description === undefined ? {} : { description: clean(request.description, "/description") }),
    line_items: request.line_items.map((item, index) => normaliseLineItem(item, index)),
    context: {
      currency: context.currency.trim().toUpperCase(),
      ...(context.region === undefined ? {} : { region: context.region.trim().toUpperCase() }),
      language: normaliseLanguage(context.language ?? "en"),
    },
    ...(budget === undefined ? {} : { budget: { max_minor: budget.max_minor } }),
    fulfilment: {
      method: fulfilment?.method ?? "ship",
      ...(fulfilment?.by === undefined ? {} : { by: fulfilment.by }),
    },
    quote_type: request.quote_type ?? "any",
    quote_deadline: toRfc3339(deadlineOf(request, nowMs)),
    quotes_per_node_max: request.quotes_per_node_max ?? LIMITS.quotesPerNodeDefault,
  };
}

type RequestedItem = IntentRequest["line_items"][number];

function normaliseLineItem(item: RequestedItem, index: number): Static<typeof LineItem> {
  const at = `/line_items/${index}`;
  return {
    id: item.id ?? `item-${index + 1}`,
    query: clean(item.query, `${at}/query`),
    ...(item.category === undefined ? {} : { category: clean(item.category, `${at}/category`).toLowerCase() }),
    ...(item.gtin === undefined ? {} : { gtin: item.gtin }),
    quantity: item.quantity ?? 1,
    unit: item.unit === undefined ? "each" : clean(item.unit, `${at}/unit`),
    constraints: (item.constraints ?? []).map((constraint, nth) => ({
      name: clean(constraint.name, `${at}/constraints/${nth}/name`),
      operator: constraint.operator,
      value: cleanValue(constraint.value, `${at}/constraints/${nth}/value`),
    })),
  };
}

function cleanValue<T>(value: T, pointer: string): T {
  if (typeof value === "string") return clean(value, pointer) as T;
  if (Array.isArray(value)) return value.map((entry, index) => cleanValue(entry, `${pointer}/${index}`)) as T;
  return value;
}

/** NFC and trimmed: two spellings of one wish sign to the same bytes. */
function clean(value: string, pointer: string): string {
  const cleaned = value.normalize("NFC").trim();
  if (cleaned === "")
    throw new OutcryError("validation_failed", undefined, { pointers: [{ pointer, detail: "must not be blank" }] });
  return cleaned;
}

/** BCP 47 is case-insensitive; its customary form is what Intl prints. */
function normaliseLanguage(tagText: string): string {
  try {
    return Intl.getCanonicalLocales(tagText.trim())[0]!;
  } catch (cause) {
    throw new OutcryError("validation_failed", undefined, {
      cause,
      pointers: [{ pointer: "/context/language", detail: "not a BCP 47 tag" }],
    });
  }
}

function deadlineOf(request: IntentRequest, nowMs: number): number {
  if (request.quote_deadline === undefined) return nowMs + LIMITS.quoteWindowDefaultMs;
  const deadlineMs = parseRfc3339(request.quote_deadline);
  const windowMs = (deadlineMs ?? Number.NaN) - nowMs;
  if (!(windowMs >= LIMITS.quoteWindowMinMs && windowMs <= LIMITS.quoteWindowMaxMs)) {
    throw new OutcryError(
      "deadline_invalid",
      `quote_deadline must be ${LIMITS.quoteWindowMinMs} ms to ${LIMITS.quoteWindowMaxMs} ms ahead of ${toRfc3339(nowMs)}`,
      { pointers: [{ pointer: "/quote_deadline", detail: "outside the allowed window" }] },
    );
  }
  return deadlineMs!;
}

/** A W3C trace id: 16 random bytes in hex, never all zero. */
export function newTraceId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[15]! |= 1; // never all zero
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What eligibility reads of an intent. */
export function needOf(payload: IntentPayload): { categories: string[]; region?: string } {
  const categories = [
    ...new Set(payload.line_items.flatMap((item) => (item.category === undefined ? [] : [item.category]))),
  ];
  // One item without a category may be anyone's: the category filter then says nothing.
  const all = payload.line_items.every((item) => item.category !== undefined);
  return {
    categories: all ? categories : [],
    ...(payload.context.region === undefined ? {} : { region: payload.context.region }),
  };
}

// The intent: what a buyer wants, as nodes see it. Routing and identities are kept apart in IntentRequest and never sent to a node.

import Type, { type Static } from "typebox";
import { Digest, Envelope, PROTOCOL, PROTOCOL_VERSION, Timestamp, Token } from "./envelope.js";
import { type ErrorPointer, OutcryError } from "./errors.js";
import { IntentId, LineItemId, NodeId } from "./id-schemas.js";
import { newId, newNonce, newTraceId } from "./ids.js";
import { LIMITS } from "./limits.js";
import { AmountMinor, Currency } from "./money.js";
import { normaliseIntent } from "./normalise-intent.js";
import { atRevision, Revision } from "./revision.js";
import { type Clock, systemClock, toRfc3339 } from "./time.js";
import { check } from "./validate.js";

const text = (max: number = LIMITS.textCharsMax) => Type.String({ minLength: 1, maxLength: max });
const tag = text(LIMITS.tagCharsMax);
const tags = (max: number) => Type.Array(tag, { maxItems: max, uniqueItems: true });

/** Beyond 2^53−1 a number is another one in the next parser. */
const SafeNumber = Type.Number({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER });

const Constraint = Type.Object({
  name: tag,
  operator: Type.Enum(["eq", "ne", "lt", "le", "gt", "ge", "in", "contains"]),
  value: Type.Union([text(), SafeNumber, Type.Boolean(), Type.Array(text(), { minItems: 1, maxItems: 64 })]),
});

const LineItem = Type.Object({
  id: LineItemId,
  query: text(),
  category: Type.Optional(tag),
  gtin: Type.Optional(Type.String({ pattern: "^\\d{8}(\\d{4,6})?$", description: "GTIN-8, -12, -13 or -14" })),
  quantity: Type.Integer({ minimum: 1, maximum: 1_000_000_000 }),
  unit: text(32),
  constraints: Type.Array(Constraint, { maxItems: LIMITS.constraintsMax }),
});

const IntentContext = Type.Object({
  currency: Currency,
  region: Type.Optional(
    Type.String({ pattern: "^[A-Z]{2}(-[A-Z0-9]{1,3})?$", description: "ISO 3166-1 alpha-2, or a 3166-2 subdivision" }),
  ),
  language: Type.String({ pattern: "^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", description: "BCP 47" }),
});

const Budget = Type.Object({ max_minor: AmountMinor });

const Fulfilment = Type.Object({
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
  revision: Type.Optional(Revision),
  supersedes: Type.Optional(Digest),
});
export type IntentPayload = Static<typeof IntentPayload>;

export const Intent = Envelope("intent", IntentPayload, IntentId);
export type Intent = Static<typeof Intent>;

/** Who shall hear it: recorded, never sent. `targets` replaces the filters by category and region. */
export const Routing = Type.Object(
  {
    targets: Type.Optional(Type.Array(NodeId, { minItems: 1, maxItems: LIMITS.routingListMax })),
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
      id: Type.Optional(LineItemId),
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
  /** Of an amended intent: its number, from 1, and the digest of the revision that it replaces. */
  amends?: { revision: number; supersedes: string };
  clock?: Clock;
}

/**
 * Normalises a payload (NFC, trimmed, currency upper-case, defaults explicit) and tags it with protocol and version.
 * Fields that IntentRequest does not name, and those that route it, stay behind.
 * Throws OutcryError: validation_failed with every pointer at once, or deadline_invalid.
 */
export function buildIntent(request: IntentRequest, options: BuildIntentOptions = {}): Intent {
  const clock = options.clock ?? systemClock;
  const nowMs = clock.now();
  const checked = check(IntentRequest, request);
  if (checked.kind === "invalid") throw invalid(checked.pointers);
  const normal = normaliseIntent(checked.value, nowMs);
  if (normal.faults.length > 0) throw invalid(normal.faults);
  if (normal.deadlineFault !== undefined) {
    throw new OutcryError("deadline_invalid", normal.deadlineFault.detail, { pointers: [normal.deadlineFault] });
  }
  const { amends } = options;
  const replacing = amends === undefined ? {} : { ...atRevision(amends.revision), supersedes: amends.supersedes };
  const payload = { ...normal.payload, ...replacing };
  const intent = {
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
  } as const;
  // What comes out is what nodes will check: NFC may have lengthened a text beyond its limit.
  const built = check(Intent, intent);
  if (built.kind === "ok") return built.value;
  throw invalid(built.pointers.map(({ pointer, detail }) => ({ pointer: pointer.replace(/^\/payload/, ""), detail })));
}

const invalid = (pointers: ErrorPointer[]): OutcryError =>
  new OutcryError("validation_failed", pointers.map(({ pointer, detail }) => `${pointer} ${detail}`).join("; "), {
    pointers,
  });

/** What eligibility reads of an intent. */
export function needOf(payload: IntentPayload): { categories: string[]; region?: string } {
  const categories = new Set(payload.line_items.map((item) => item.category));
  const { region } = payload.context;
  return {
    // One item without a category may be anyone's: the category filter then says nothing.
    categories: categories.has(undefined) ? [] : ([...categories] as string[]),
    ...(region === undefined ? {} : { region }),
  };
}

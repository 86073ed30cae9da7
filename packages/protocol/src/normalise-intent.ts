// One wish, one form: two spellings of it become the same bytes. Pure; collects every fault, so that a caller corrects all at once.

import type { ErrorPointer } from "./errors.js";
import type { IntentPayload, IntentRequest } from "./intent.js";
import { LIMITS } from "./limits.js";
import { parseRfc3339, toRfc3339 } from "./time.js";

export interface NormalIntent {
  payload: IntentPayload;
  faults: ErrorPointer[];
  /** Apart from the others: it has its own code. */
  deadlineFault: ErrorPointer | undefined;
}

/** `request` fits the schema of IntentRequest. With faults the payload is not to be used. */
export function normaliseIntent(request: IntentRequest, nowMs: number): NormalIntent {
  const texts = new Texts();
  const { context, budget, fulfilment, description } = request;
  const deadlineMs = deadlineOf(request, nowMs);
  const payload: IntentPayload = {
    ...(description === undefined ? {} : { description: texts.clean(description, "/description") }),
    line_items: request.line_items.map((item, index) => normaliseLineItem(item, index, texts)),
    context: {
      currency: context.currency.trim().toUpperCase(),
      ...(context.region === undefined ? {} : { region: context.region.trim().toUpperCase() }),
      language: texts.language(context.language ?? "en", "/context/language"),
    },
    ...(budget === undefined ? {} : { budget: { max_minor: budget.max_minor } }),
    fulfilment: {
      method: fulfilment?.method ?? "ship",
      ...(fulfilment?.by === undefined ? {} : { by: fulfilment.by }),
    },
    quote_type: request.quote_type ?? "any",
    quote_deadline: toRfc3339(deadlineMs ?? nowMs),
    quotes_per_node_max: request.quotes_per_node_max ?? LIMITS.quotesPerNodeDefault,
  };
  return {
    payload,
    faults: [...texts.faults, ...repeatedIds(payload)],
    deadlineFault: deadlineMs === undefined ? deadlineFault(nowMs) : undefined,
  };
}

type LineItem = IntentPayload["line_items"][number];

function normaliseLineItem(item: IntentRequest["line_items"][number], index: number, texts: Texts): LineItem {
  const at = `/line_items/${index}`;
  return {
    id: item.id ?? `item-${index + 1}`,
    query: texts.clean(item.query, `${at}/query`),
    ...(item.category === undefined ? {} : { category: texts.lower(item.category, `${at}/category`) }),
    ...(item.gtin === undefined ? {} : { gtin: item.gtin }),
    quantity: item.quantity ?? 1,
    unit: item.unit === undefined ? "each" : texts.clean(item.unit, `${at}/unit`),
    constraints: (item.constraints ?? []).map(({ name, operator, value }, nth) => ({
      name: texts.clean(name, `${at}/constraints/${nth}/name`),
      operator,
      value: normaliseValue(value, `${at}/constraints/${nth}/value`, texts),
    })),
  };
}

type ConstraintValue = LineItem["constraints"][number]["value"];

function normaliseValue(value: ConstraintValue, pointer: string, texts: Texts): ConstraintValue {
  if (typeof value === "string") return texts.clean(value, pointer);
  if (typeof value === "number") return value + 0; // −0 is written 0
  if (Array.isArray(value)) return value.map((entry, index) => texts.clean(entry, `${pointer}/${index}`));
  return value;
}

/** Quotes name line items by id: two of one id could not be told apart. */
function repeatedIds({ line_items }: IntentPayload): ErrorPointer[] {
  const seen = new Set<string>();
  return line_items.flatMap(({ id }, index) => {
    const repeated = seen.has(id);
    seen.add(id);
    return repeated ? [{ pointer: `/line_items/${index}/id`, detail: `${id} names an earlier line item` }] : [];
  });
}

function deadlineOf({ quote_deadline: asked }: IntentRequest, nowMs: number): number | undefined {
  if (asked === undefined) return nowMs + LIMITS.quoteWindowDefaultMs;
  const deadlineMs = parseRfc3339(asked) ?? Number.NaN;
  const windowMs = deadlineMs - nowMs;
  return windowMs >= LIMITS.quoteWindowMinMs && windowMs <= LIMITS.quoteWindowMaxMs ? deadlineMs : undefined;
}

const deadlineFault = (nowMs: number): ErrorPointer => ({
  pointer: "/quote_deadline",
  detail: `must be ${LIMITS.quoteWindowMinMs} ms to ${LIMITS.quoteWindowMaxMs} ms ahead of ${toRfc3339(nowMs)}`,
});

/** Normal forms of texts, and what was wrong with them. */
class Texts {
  readonly faults: ErrorPointer[] = [];

  /** NFC and trimmed. */
  clean(value: string, pointer: string): string {
    // A lone surrogate has no UTF-8: the intent could not be signed.
    if (/\p{Surrogate}/u.test(value)) return this.#fault(value, pointer, "must be well-formed Unicode");
    // Databases that keep text behind us cannot hold it.
    if (value.includes("\0")) return this.#fault(value, pointer, "must not hold U+0000");
    const cleaned = value.normalize("NFC").trim();
    return cleaned === "" ? this.#fault(value, pointer, "must not be blank") : cleaned;
  }

  lower(value: string, pointer: string): string {
    // NFC again: "J" + caron has no single character, its lower case has.
    return this.clean(value, pointer).toLowerCase().normalize("NFC");
  }

  /** BCP 47 is case-insensitive; its customary form is what Intl prints. */
  language(tag: string, pointer: string): string {
    try {
      return Intl.getCanonicalLocales(tag.trim())[0]!;
    } catch {
      return this.#fault(tag, pointer, "must be a BCP 47 language tag");
    }
  }

  #fault(value: string, pointer: string, detail: string): string {
    this.faults.push({ pointer, detail });
    return value;
  }
}

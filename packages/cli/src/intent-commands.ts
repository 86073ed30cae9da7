// outcry intent … and outcry quote …

import { readFileSync } from "node:fs";
import type { QuotesOptions } from "@outcry/client";
import { END_EVENTS, type IntentRequest, parseStrict, type QuotesView, toRfc3339 } from "@outcry/protocol";
import { type Command, type CommandContext, given, type Options } from "./command.js";
import { UsageError } from "./exit-codes.js";
import { money, type Printer } from "./print.js";

const WAIT = {
  wait: { type: "string", value: "n|closed", help: "wait for n quotes, or until the intent has ended" },
  "timeout-ms": { type: "string", value: "ms", help: "how long to wait; 30000 by default" },
} as const;

export const intentSend: Command = {
  summary: "Broadcast a purchase intent",
  args: [],
  options: {
    file: { type: "string", value: "path", help: "the request as JSON; - reads it from standard input" },
    query: { type: "string", value: "text", help: "what is wanted, in place of --file" },
    category: { type: "string", value: "name", help: "category of the item" },
    quantity: { type: "string", value: "n", help: "how many; 1 by default" },
    currency: { type: "string", value: "code", help: "ISO 4217; EUR by default" },
    region: { type: "string", value: "code", help: "ISO 3166, for example DE" },
    "budget-minor": { type: "string", value: "n", help: "most to pay, in minor units" },
    "window-ms": { type: "string", value: "ms", help: "how long quotes are taken" },
    buyer: { type: "string", value: "id", help: "the buyer's id, never sent to a node" },
    target: { type: "string", multiple: true, value: "node", help: "only this node; may be repeated" },
    "idempotency-key": {
      type: "string",
      value: "key",
      help: "made up when absent; repeat it to repeat the same intent",
    },
    ...WAIT,
  },
  async run({ client, options, print, readInput, signal }) {
    const request = await requestOf(options, readInput);
    const targets = options.list("target");
    const sent = await client.broadcast(request, targets.length === 0 ? undefined : targets, {
      signal,
      ...given("idempotencyKey", options.text("idempotency-key")),
    });
    print.one({ ...sent }, [
      `${sent.intentId}  ${sent.targets} nodes  quotes until ${sent.quoteDeadline}${sent.replayed ? "  (posted before)" : ""}`,
    ]);
    const wait = waitOf(options);
    if (wait.wait !== undefined) printQuotes(print, await client.quotes(sent.intentId, { ...wait, signal }));
  },
};

export const intentGet: Command = {
  summary: "Where an intent stands",
  args: ["intent"],
  options: {},
  async run({ client, args, print }) {
    const view = await client.intent(args[0]!);
    const counts = Object.entries(view.deliveries).filter(([, count]) => count > 0);
    print.one(view, [
      `${view.id}  ${view.status}`,
      `created    ${view.created}`,
      `deadline   ${view.quote_deadline}`,
      ...(view.ended === undefined ? [] : [`ended      ${view.ended}`]),
      `deliveries ${counts.map(([state, count]) => `${state} ${count}`).join(", ") || "none"}`,
    ]);
  },
};

export const intentCancel: Command = {
  summary: "Cancel an intent; its nodes are told",
  args: ["intent"],
  options: { reason: { type: "string", value: "text", help: "told to the nodes" } },
  async run({ client, args, options, print }) {
    const end = await client.cancel(args[0]!, options.text("reason"));
    print.one(end, [`${end.id}  ${end.status}`]);
  },
};

export const intentTail: Command = {
  summary: "Follow an intent's events until it has ended",
  args: ["intent"],
  options: {
    cursor: { type: "string", value: "cursor", help: "resume behind it instead of from the start" },
    follow: { type: "boolean", help: "go on after the end" },
  },
  async run({ client, args, options, print, signal }) {
    const cursor = options.text("cursor");
    const events = client.events(`intent:${args[0]!}`, {
      signal,
      ...(cursor === undefined ? { from: "start" } : { cursor }),
    });
    for await (const message of events) {
      if (message.kind === "event") print.one(message.event, [eventLine(message.type, message.event)]);
      else print.one(message, [`${message.kind}: ${message.kind === "gap" ? message.reason : message.code}`]);
      if (message.kind === "event" && ENDS.has(message.type) && !options.flag("follow")) return;
    }
  },
};

export const quoteLs: Command = {
  summary: "Ranked quotes of an intent",
  args: ["intent"],
  options: WAIT,
  async run({ client, args, options, print, signal }) {
    printQuotes(print, await client.quotes(args[0]!, { ...waitOf(options), signal }));
  },
};

const ENDS: ReadonlySet<string> = new Set(Object.values(END_EVENTS));

async function requestOf(options: Options, readInput: CommandContext["readInput"]): Promise<IntentRequest> {
  const file = options.text("file");
  const request =
    file === undefined ? requestOfOptions(options) : parseRequest(file === "-" ? await readInput() : readFile(file));
  const windowMs = options.integer("window-ms");
  return windowMs === undefined ? request : { ...request, quote_deadline: toRfc3339(Date.now() + windowMs) };
}

function readFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`--file: ${(error as Error).message}`);
  }
}

/** The service checks it against the schema, and names every fault at once. */
function parseRequest(text: string): IntentRequest {
  const parsed = parseStrict(new TextEncoder().encode(text));
  if (parsed.kind === "refused") throw new UsageError(`--file: ${parsed.code}: ${parsed.detail}`);
  return parsed.value as unknown as IntentRequest;
}

function requestOfOptions(options: Options): IntentRequest {
  const query = options.text("query");
  if (query === undefined) throw new UsageError("--file or --query is missing");
  const maxMinor = options.integer("budget-minor");
  return {
    line_items: [
      { query, ...given("category", options.text("category")), ...given("quantity", options.integer("quantity")) },
    ],
    context: { currency: options.text("currency") ?? "EUR", ...given("region", options.text("region")) },
    ...(maxMinor === undefined ? {} : { budget: { max_minor: maxMinor } }),
    ...given("buyer_id", options.text("buyer")),
  };
}

function waitOf(options: Options): QuotesOptions {
  const text = options.text("wait");
  const wait = text === undefined || text === "closed" ? text : options.integer("wait");
  return { ...given("wait", wait), ...given("timeoutMs", options.integer("timeout-ms")) };
}

function printQuotes(print: Printer, view: QuotesView): void {
  print.list(view.quotes, {
    RANK: (quote) => quote.rank,
    TOTAL: (quote) => money(quote.quote.payload.total),
    TYPE: (quote) => quote.quote.payload.quote_type,
    SCORE: (quote) => quote.explanation.score,
    NODE: (quote) => quote.node_id,
    QUOTE: (quote) => quote.quote_id,
    "VALID UNTIL": (quote) => quote.quote.payload.valid_until,
  });
  print.note(`${view.intent_id}  ${view.status}  ${view.quotes.length} ranked, ${view.unranked.length} not ranked`);
}

function eventLine(type: string, event: { time: string; data: unknown } | null): string {
  const data = (event?.data ?? {}) as Record<string, unknown>;
  const shown = Object.entries(data).filter(([name]) => name !== "intent_id");
  return `${event?.time ?? "-"}  ${type.padEnd(22)}  ${shown.map(([name, value]) => `${name}=${shortly(value)}`).join(" ")}`;
}

const shortly = (value: unknown): string => {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
};

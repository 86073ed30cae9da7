// outcry intent send: posts an intent, and with --wait follows it to its end over the WebSocket.

import type { BroadcastResult } from "@outcry/client";
import { type IntentAccepted, type IntentRequest, OutcryError, toRfc3339 } from "@outcry/protocol";
import { type Command, type CommandContext, given, type Options } from "./command.js";
import { UsageError } from "./exit-codes.js";
import { ENDS, printQuotes } from "./intent-commands.js";
import { readJsonFile } from "./json-file.js";
import { nodeLines } from "./node-lines.js";

const END_SLACK_MS = 10_000; // after the deadline: quotes being verified, a gateway that is being reached again

/** What is wanted, as options; `bench` takes the same. */
export const REQUEST_OPTIONS = {
  file: { type: "string", value: "path", help: "the request as JSON; - reads it from standard input" },
  query: { type: "string", value: "text", help: "what is wanted, in place of --file" },
  category: { type: "string", value: "name", help: "category of the item" },
  quantity: { type: "string", value: "number", help: "how many; 1 by default" },
  currency: { type: "string", value: "code", help: "ISO 4217; EUR by default" },
  region: { type: "string", value: "code", help: "ISO 3166, for example DE" },
  "budget-minor": { type: "string", value: "number", help: "most to pay, in minor units" },
  "window-ms": { type: "string", value: "ms", help: "how long quotes are taken" },
  target: { type: "string", multiple: true, value: "node", help: "only this node; may be repeated" },
} as const;

export const intentSend: Command = {
  summary: "Broadcast a purchase intent",
  args: [],
  options: {
    ...REQUEST_OPTIONS,
    buyer: { type: "string", value: "id", help: "the buyer's id, never sent to a node" },
    "idempotency-key": {
      type: "string",
      value: "text",
      help: "made up when absent; repeat it to repeat the same intent",
    },
    wait: { type: "boolean", help: "follow it to its end: a line per node, then the ranked quotes" },
    "timeout-ms": { type: "string", value: "ms", help: "with --wait: give up after; its deadline and 10 s by default" },
  },
  examples: [
    'intent send --query "red running shoes, size 42" --category apparel --region DE --wait',
    "intent send --file intent.json --idempotency-key order-4711",
    "jq .intent order.json | outcry intent send --file - --json",
  ],
  async run(context) {
    const { client, options, print, readInput, signal } = context;
    const request = await requestOf(options, readInput);
    const targets = options.list("target");
    const sent = await client.broadcast(request, targets.length === 0 ? undefined : targets, {
      signal,
      ...given("idempotencyKey", options.text("idempotency-key")),
    });
    print.one(acceptedOf(sent), [
      `${sent.intentId}  ${sent.targets} nodes  quotes until ${sent.quoteDeadline}${sent.replayed ? "  (posted before)" : ""}`,
      ...Object.entries(sent.links).map(([name, path]) => `  ${name.padEnd(8)} ${context.url}${path}`),
    ]);
    if (options.flag("wait")) await follow(context, sent);
  },
};

const acceptedOf = (sent: BroadcastResult): IntentAccepted => ({
  id: sent.intentId,
  status: "accepted",
  targets: sent.targets,
  quote_deadline: sent.quoteDeadline,
  request_digest: sent.requestDigest,
  links: sent.links,
});

/** A line per node as it answers, and the ranking when the intent has ended. */
async function follow({ client, options, print, signal }: CommandContext, sent: BroadcastResult): Promise<void> {
  const patienceMs =
    options.integer("timeout-ms") ?? Math.max(0, Date.parse(sent.quoteDeadline) - Date.now()) + END_SLACK_MS;
  const untilMs = Date.now() + patienceMs;
  const late = AbortSignal.timeout(patienceMs);
  const channel = client.realtime.channel(`intent:${sent.intentId}`, {
    from: "start",
    signal: AbortSignal.any([signal, late]),
  });
  try {
    for await (const message of channel) {
      if (message.kind === "gap") print.note(`gap: ${message.reason}`);
      if (message.kind !== "event") continue;
      print.one(message.event, nodeLines(message.event));
      if (ENDS.has(message.event.type)) break;
    }
  } catch (error) {
    if (late.aborted) throw new OutcryError("timed_out", `${sent.intentId} has not ended after ${patienceMs} ms`);
    throw error;
  }
  const view = await client.quotes(sent.intentId, {
    wait: "closed",
    timeoutMs: Math.max(0, untilMs - Date.now()),
    signal,
  });
  printQuotes(print, view);
}

/** From the file, else from the options; `queryByDefault` stands in for --query. */
export async function requestOf(
  options: Options,
  readInput: CommandContext["readInput"],
  queryByDefault?: string,
): Promise<IntentRequest> {
  const file = options.text("file");
  const request =
    file === undefined ? requestOfOptions(options, queryByDefault) : await readJsonFile<IntentRequest>(file, readInput);
  const windowMs = options.integer("window-ms");
  return windowMs === undefined ? request : { ...request, quote_deadline: toRfc3339(Date.now() + windowMs) };
}

function requestOfOptions(options: Options, queryByDefault: string | undefined): IntentRequest {
  const query = options.text("query") ?? queryByDefault;
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

// outcry intent get|tail|cancel and outcry quote ls.

import type { ChannelMessage, QuotesOptions } from "@outcry/client";
import { END_EVENTS, type QuotesView } from "@outcry/protocol";
import { type Command, given, type Options } from "./command.js";
import { money, type Printer } from "./print.js";

const WAIT = {
  wait: { type: "string", value: "n|closed", help: "wait for n quotes, or until the intent has ended" },
  "timeout-ms": { type: "string", value: "ms", help: "how long to wait; 30000 by default" },
} as const;

export const intentGet: Command = {
  summary: "Where an intent stands",
  args: ["intent"],
  options: {},
  examples: ["intent get int_01kahsomeintent --json"],
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
  examples: ['intent cancel int_01kahsomeintent --reason "the buyer changed their mind"'],
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
  examples: [
    "intent tail int_01kahsomeintent",
    "intent tail int_01kahsomeintent --json | jq -c '[.time, .type]'",
    "intent tail int_01kahsomeintent --cursor CURSOR   # printed when it is interrupted",
  ],
  async run({ client, args, options, print, signal }) {
    const cursor = options.text("cursor");
    const channel = client.realtime.channel(`intent:${args[0]!}`, {
      signal,
      from: "start",
      ...given("cursor", cursor),
    });
    try {
      for await (const message of channel) {
        if (message.kind === "event") print.one(message.event, [eventLine(message.event.type, message.event)]);
        else if (message.kind === "recovered") print.note(`${message.events} events behind the cursor`);
        else print.one(message, [messageLine(message)]);
        if (message.kind === "event" && ENDS.has(message.event.type) && !options.flag("follow")) return;
      }
    } finally {
      if (signal.aborted && channel.cursor !== undefined) print.note(`go on with: --cursor ${channel.cursor}`);
    }
  },
};

export const quoteLs: Command = {
  summary: "Ranked quotes of an intent",
  args: ["intent"],
  options: WAIT,
  examples: ["quote ls int_01kahsomeintent", "quote ls int_01kahsomeintent --wait 3 --timeout-ms 5000"],
  async run({ client, args, options, print, signal }) {
    printQuotes(print, await client.quotes(args[0]!, { ...waitOf(options), signal }));
  },
};

export const ENDS: ReadonlySet<string> = new Set(Object.values(END_EVENTS));

function waitOf(options: Options): QuotesOptions {
  const text = options.text("wait");
  const wait = text === undefined || text === "closed" ? text : options.integer("wait");
  return { ...given("wait", wait), ...given("timeoutMs", options.integer("timeout-ms")) };
}

export function printQuotes(print: Printer, view: QuotesView): void {
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

function messageLine(message: Exclude<ChannelMessage, { kind: "event" | "recovered" }>): string {
  if (message.kind === "unreadable") return "an event that cannot be shown";
  return `${message.kind}: ${message.kind === "gap" ? message.reason : message.code}`;
}

export function eventLine(type: string, event: { time: string; data: unknown } | null): string {
  const data = (event?.data ?? {}) as Record<string, unknown>;
  const shown = Object.entries(data).filter(([name]) => name !== "intent_id");
  return `${event?.time ?? "-"}  ${type.padEnd(22)}  ${shown.map(([name, value]) => `${name}=${shortly(value)}`).join(" ")}`;
}

const shortly = (value: unknown): string => {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
};

// One intent from its post to its ranked quotes, told as it happens: each stage with its time, one line per node.

import type { Client } from "@outcry/client";
import type { IntentRequest, KnownEvent, QuotesView, Receipt } from "@outcry/protocol";
import { END_EVENTS } from "@outcry/protocol";
import type { SampleSeller } from "./sample-sellers.js";

const WAIT_MS = 20_000;
const LATE_SELLER_WAKES = "INTENT_BROADCASTED"; // after the first attempt, before the second

export interface SampleDeps {
  client: Client;
  sellers: readonly SampleSeller[];
  intent: IntentRequest;
  say: (line: string) => void;
}

export async function broadcastSample(deps: SampleDeps): Promise<void> {
  const { client, sellers, intent, say } = deps;
  const nameOf = new Map(sellers.map(({ nodeId, name }) => [nodeId, name]));
  const [item] = intent.line_items;
  say(`\nAn intent goes out: “${item!.query}”, ${moneyOf(intent)}${intent.context.region ?? "anywhere"}\n`);

  const startedMs = Date.now();
  const stage = (atMs: number, line: string): void =>
    say(`  ${String(Math.max(0, Math.round(atMs - startedMs))).padStart(6)} ms  ${line}`);
  const { intentId, targets } = await client.broadcast(intent);
  say(`             accepted              ${intentId}, ${targets} nodes`);

  const signal = AbortSignal.timeout(WAIT_MS);
  for await (const message of client.realtime.channel(`intent:${intentId}`, { from: "start", signal })) {
    if (message.kind !== "event") continue;
    for (const line of linesOf(message.event, nameOf)) stage(Date.parse(message.event.time), line);
    if (message.event.type === LATE_SELLER_WAKES) await Promise.all(sellers.map((seller) => seller.wake()));
    if (Object.values<string>(END_EVENTS).includes(message.event.type)) break;
  }
  const [receipts, quotes] = [await client.receipts(intentId), await client.quotes(intentId)];
  sayNodes(receipts, quotes, nameOf, say);
  sayQuotes(quotes, nameOf, say);
}

const moneyOf = ({ budget, context }: IntentRequest): string =>
  budget === undefined ? `${context.currency}, ` : `at most ${amount(budget.max_minor, context.currency)}, `;

const amount = (minor: number, currency: string): string => `${(minor / 100).toFixed(2)} ${currency}`; // the sample's currencies have two digits

function linesOf(event: KnownEvent, nameOf: ReadonlyMap<string, string>): string[] {
  const name = event.type.padEnd(21);
  const names = (ids: readonly string[]) => ids.map((id) => nameOf.get(id) ?? id).join(", ");
  switch (event.type) {
    case "INTENT_BROADCASTED":
      return [`${name} ${event.data.dispatched} nodes`];
    case "NODE_RESPONDED":
      return event.data.responses.map(
        ({ node_id, status, reason }) =>
          `${name} ${names([node_id])}: ${status}${reason === undefined ? "" : ` (${reason})`}`,
      );
    case "QUOTE_RECEIVED": {
      const { node_id, total, explanation } = event.data;
      return [`${name} ${names([node_id])}: ${amount(total.amount_minor, total.currency)}, score ${explanation.score}`];
    }
    case "DELIVERY_RETRYING": {
      const { attempt, node_ids } = event.data;
      return [`${name} attempt ${attempt} to ${names(node_ids)}`];
    }
    case "DELIVERY_DEAD_LETTERED": {
      const { attempts, node_ids } = event.data;
      return [`${name} ${names(node_ids)} after ${attempts} attempts`];
    }
    default:
      return [event.type];
  }
}

function sayNodes(
  receipts: readonly Receipt[],
  quotes: QuotesView,
  nameOf: ReadonlyMap<string, string>,
  say: (line: string) => void,
): void {
  const priceOf = new Map(
    quotes.quotes.map(({ node_id, quote }) => [
      node_id,
      amount(quote.payload.total.amount_minor, quote.payload.total.currency),
    ]),
  );
  say("\n  node                       outcome    attempts");
  for (const { node_id, status, attempts, reason } of receipts) {
    const retried = attempts > 1 && status !== "dead" ? ", retried" : "";
    const note = priceOf.get(node_id) ?? reason ?? "";
    say(`  ${(nameOf.get(node_id) ?? node_id).padEnd(26)} ${status.padEnd(10)} ${attempts}${retried}  ${note}`);
  }
}

function sayQuotes(
  { quotes, method }: QuotesView,
  nameOf: ReadonlyMap<string, string>,
  say: (line: string) => void,
): void {
  say(`\n  ranked by ${method}`);
  for (const { rank, node_id, quote, explanation } of quotes) {
    const { total, line_items, quote_type } = quote.payload;
    const what = line_items.map(({ description, quantity }) => `${quantity} × ${description ?? "?"}`).join(", ");
    say(
      `  ${rank}. ${amount(total.amount_minor, total.currency).padStart(12)}  ${quote_type}  ${(nameOf.get(node_id) ?? node_id).padEnd(24)} ${what}  (${explanation.score})`,
    );
  }
}

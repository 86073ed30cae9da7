// A marketplace backend: posts one intent, waits for the nodes, prints the ranked quotes.
//   OUTCRY_URL=http://127.0.0.1:7070 OUTCRY_API_KEY=… node examples/backend/backend.mjs [number of the intent in examples/data]

import { readFileSync } from "node:fs";
import { createClient, isApiError } from "@outcry/client";

const intents = JSON.parse(readFileSync(new URL("../data/intents.json", import.meta.url), "utf8"));
const request = intents[Number(process.argv[2] ?? 0)] ?? intents[0];
const say = (line) => process.stdout.write(`${line}\n`);

const client = createClient({
  url: process.env.OUTCRY_URL ?? "http://127.0.0.1:7070",
  apiKey: process.env.OUTCRY_API_KEY,
});

try {
  const { intentId, targets, quoteDeadline } = await client.broadcast(request);
  say(`${intentId}: "${request.line_items[0].query}" to ${targets} nodes, quotes until ${quoteDeadline}`);

  const { acks } = await client.collectAcks(intentId, 3_000);
  for (const { node_id, status, reason } of acks) say(`  ${node_id}  ${status}  ${reason ?? ""}`);

  const { quotes } = await client.quotes(intentId, { wait: "closed", timeoutMs: 5_000 });
  for (const { rank, node_id, quote } of quotes) {
    const { total, line_items } = quote.payload;
    const what = line_items.map(({ description, quantity }) => `${quantity} × ${description ?? "item"}`).join(", ");
    say(`  ${rank}. ${(total.amount_minor / 100).toFixed(2)} ${total.currency}  ${node_id}  ${what}`);
  }
  if (quotes.length === 0) say("  no quotes");
} catch (error) {
  if (!isApiError(error)) throw error;
  process.stderr.write(`${error.code}: ${error.detail}\n  ${error.hint}\n  request ${error.requestId ?? "-"}\n`);
  process.exitCode = 1;
}

// A seller node: hears intents, answers from a catalogue, quotes. It registers itself once with an invite and keeps its keys in .outcry/example-seller.
//   OUTCRY_URL=http://127.0.0.1:7070 OUTCRY_INVITE=… node examples/seller/seller.mjs

import { readFileSync } from "node:fs";
import { createNode } from "@outcry/node";

const { items } = JSON.parse(readFileSync(new URL("../data/catalog.json", import.meta.url), "utf8"));
const say = (line) => process.stdout.write(`${line}\n`);

const node = createNode({
  url: process.env.OUTCRY_URL ?? "http://127.0.0.1:7070",
  invite: process.env.OUTCRY_INVITE,
  stateDir: ".outcry/example-seller",
  registration: { name: "Example seller", categories: ["bags", "clothing", "kitchen"], regions: ["DE", "GB", "US"] },
});

node.onIntent((intent, ctx) => {
  const { line_items, context } = intent.payload;
  const lines = line_items.map(({ id, query }) => {
    const words = query.toLowerCase().match(/\p{L}{4,}/gu) ?? [];
    const hit = items.find(({ title }) => words.some((word) => title.toLowerCase().includes(word)));
    const price = hit?.prices.find(({ currency }) => currency === context.currency);
    return price && { lineItemId: id, unitAmountMinor: price.amount_minor, sku: hit.sku, description: hit.title };
  });
  if (lines.includes(undefined)) return ctx.decline("no_inventory");
  say(`${intent.id}: ${lines.map(({ description }) => description).join(", ")}`);
  return ctx.quote({ lineItems: lines, validForMs: 10 * 60_000 });
});

node.on("status", ({ state, nodeId }) => say(`${state} ${nodeId ?? ""}`));
node.on("quote", ({ quoteId, outcome }) => say(`${quoteId}: ${outcome.kind}`));
node.on("error", ({ error }) => say(String(error)));
process.once("SIGINT", () => void node.drain());
await node.start();

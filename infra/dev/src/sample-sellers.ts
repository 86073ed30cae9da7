// Sellers for the first five minutes: real nodes with a small catalogue each. Two of them show what goes wrong in the
// world: one comes late and is reached by a retry, one is never there and ends as a dead letter.

import { existsSync } from "node:fs";
import path from "node:path";
import type { Client } from "@outcry/client";
import { type IntentContext, type NodeDescription, type SellerNode, createNode } from "@outcry/node";
import type { Intent, Log } from "@outcry/protocol";

export interface CatalogItem {
  seller: string;
  sku: string;
  title: string;
  category: string;
  prices: { currency: string; amount_minor: number }[];
}

export interface SampleCatalog {
  sellers: { name: string; categories: string[]; regions: string[]; behaviour?: "late" | "absent" }[];
  items: CatalogItem[];
}

export interface SampleSeller {
  readonly name: string;
  readonly nodeId: string;
  readonly behaviour: "prompt" | "late" | "absent";
  /** Brings a late seller online. */
  wake(): Promise<void>;
  stop(): Promise<void>;
}

export interface SellerDeps {
  url: string;
  stateDir: string;
  catalog: SampleCatalog;
  admin: Client;
  log: Log;
}

/** Registers each seller once (its keys stay under `stateDir`) and starts those that are present. */
export async function startSampleSellers(deps: SellerDeps): Promise<SampleSeller[]> {
  return Promise.all(deps.catalog.sellers.map((seller) => startSeller(deps, seller)));
}

async function startSeller(deps: SellerDeps, seller: SampleCatalog["sellers"][number]): Promise<SampleSeller> {
  const { name, categories, regions, behaviour = "prompt" } = seller;
  const stateDir = path.join(deps.stateDir, name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-"));
  const shelf = deps.catalog.items.filter((item) => item.seller === name);
  const open = async () => newNode(deps, stateDir, { name, categories, regions }, shelf);

  // Each starts once, so that it is registered and its keys are kept; those that shall be away leave again.
  let node: SellerNode | undefined = await open();
  const { nodeId } = await node.start();
  if (behaviour !== "prompt") {
    await node.drain();
    node = undefined;
  }
  return {
    name,
    nodeId,
    behaviour,
    async wake() {
      if (node !== undefined || behaviour !== "late") return;
      node = await open();
      await node.start();
    },
    async stop() {
      await node?.drain({ timeoutMs: 2_000 });
      node = undefined;
    },
  };
}

async function newNode(
  deps: SellerDeps,
  stateDir: string,
  registration: NodeDescription,
  shelf: CatalogItem[],
): Promise<SellerNode> {
  const { url, log } = deps;
  const invite = isRegistered(stateDir)
    ? undefined
    : (await deps.admin.createInvite({ name: registration.name })).invite;
  // Without catch-up: the one that comes late is there to show a retry.
  const node = createNode({
    url,
    stateDir,
    registration,
    log,
    catchUp: false,
    signAcks: true, // ignored, unless the service was told to look
    ...(invite === undefined ? {} : { invite }),
  });
  return node.onIntent((intent, context) => offer(intent, context, shelf));
}

/** The SDK keeps the id it was given beside its keys. */
const isRegistered = (stateDir: string): boolean => existsSync(path.join(stateDir, "node.json"));

/** The best item by shared words, priced per unit; nothing that fits is declined with the reason. */
function offer(intent: Intent, context: IntentContext, shelf: CatalogItem[]) {
  const { line_items: wanted, context: market } = intent.payload;
  const lines = wanted.flatMap((item) => {
    const found = bestMatch(item.query, shelf);
    const price = found?.prices.find(({ currency }) => currency === market.currency);
    if (found === undefined || price === undefined) return [];
    return [
      {
        lineItemId: item.id,
        unitAmountMinor: price.amount_minor,
        quantity: item.quantity,
        sku: found.sku,
        description: found.title,
      },
    ];
  });
  return lines.length === 0
    ? context.decline("no_inventory")
    : context.quote({ lineItems: lines, validForMs: 10 * 60_000 });
}

function bestMatch(query: string, shelf: CatalogItem[]): CatalogItem | undefined {
  const asked = wordsOf(query);
  const scored = shelf.map((item) => ({
    item,
    shared: wordsOf(`${item.title} ${item.category}`).filter((word) => asked.includes(word)).length,
  }));
  return scored.filter(({ shared }) => shared > 0).toSorted((a, b) => b.shared - a.shared)[0]?.item;
}

const wordsOf = (text: string): string[] => text.toLowerCase().match(/[\p{L}\p{N}]{3,}/gu) ?? [];

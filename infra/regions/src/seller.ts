// One seller node, so that an intent has whom to go to: it quotes the same price for everything.

import { createNode, type SellerNode } from "@outcry/node";
import { silentLog } from "@outcry/protocol";
import { post } from "./post.js";
import type { RegionStack } from "./stack.js";

const PRICE_MINOR = 7_990;
const VALID_MS = 600_000;

export async function startSeller({ api, adminKey }: RegionStack, stateDir: string): Promise<SellerNode> {
  const { invite } = await post<{ invite: string }>(api.url, adminKey, "/v1/invites", { name: "a seller" });
  const registration = { name: "a seller", categories: ["shoes"], regions: ["DE", "US"] };
  const node = createNode({ url: api.url, stateDir, registration, invite, log: silentLog });
  node.onIntent(({ payload }, context) =>
    context.quote({
      lineItems: payload.line_items.map(({ id, quantity }) => ({
        lineItemId: id,
        unitAmountMinor: PRICE_MINOR,
        quantity,
        description: "Running shoes",
      })),
      validForMs: VALID_MS,
    }),
  );
  await node.start();
  return node;
}

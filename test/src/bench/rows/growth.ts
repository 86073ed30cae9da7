// Whether anything costs more per item as it grows: nodes, and intents stored.

import type { Growth } from "../growth.js";
import { growthOfNodes } from "./growth-nodes.js";
import { growthOfStored } from "./growth-stored.js";
import type { RowContext } from "./row.js";

const SIZES = {
  full: { nodes: [10, 100, 1_000, 10_000], stored: [1_000, 10_000, 100_000, 1_000_000] },
  quick: { nodes: [10, 100], stored: [100, 1_000] },
} as const;

export interface GrowthOptions {
  quick: boolean;
  /** How long it may take. */
  minutes: number;
}

export async function growthRow(context: RowContext, { quick, minutes }: GrowthOptions): Promise<Growth[]> {
  const untilMs = performance.now() + minutes * 60_000;
  const { nodes, stored } = SIZES[quick ? "quick" : "full"];
  return [...(await growthOfNodes(context, nodes)), ...(await growthOfStored(context, stored, untilMs))];
}

// The project's own small catalogue and intents (examples/data).

import { readFileSync } from "node:fs";
import type { IntentRequest } from "@outcry/protocol";
import type { SampleCatalog } from "./sample-sellers.js";

const folder = new URL("../../../examples/data/", import.meta.url);

export function readSamples(): { catalog: SampleCatalog; intents: IntentRequest[] } {
  const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), "utf8"));
  return { catalog: read("catalog.json") as SampleCatalog, intents: read("intents.json") as IntentRequest[] };
}

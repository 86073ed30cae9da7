// One way through both regions: an intent is posted, its events are read in `us`, and the cursor of the first goes on in `eu`.

import { Readable } from "node:stream";
import { createInterface } from "node:readline";
import { post } from "./post.js";
import type { RegionStack } from "./stack.js";

const WAIT_MS = 20_000;

export interface Backend {
  readonly id: string;
  readonly secret: string;
}

export async function newBackend({ api, adminKey }: RegionStack): Promise<Backend> {
  const made = await post<{ backend_id: string; secret: string }>(api.url, adminKey, "/v1/api-keys", {
    role: "backend",
    name: "a marketplace of two regions",
  });
  return { id: made.backend_id, secret: made.secret };
}

/** Resolves with the cursor of the first event, as `us` gave it and `eu` took it. Throws when it was not recovered there. */
export async function tour(stack: RegionStack, backend: Backend): Promise<string> {
  const intent = { line_items: [{ query: "running shoes" }], context: { currency: "EUR" } };
  await post(stack.api.url, backend.secret, "/v1/intents", intent);
  const channel = `channel=backend:${backend.id}`;
  const [begun, first, second] = await readLines(
    `${stack.gateways.us.url}/v1/stream?${channel}&from=start`,
    backend,
    3,
  );
  const cursor = first?.c;
  const [resumed, same] = await readLines(`${stack.gateways.eu.url}/v1/stream?${channel}&cursor=${cursor}`, backend, 2);
  if (begun?.ok?.recovered !== true || cursor === undefined || second?.c === undefined)
    throw new Error("us did not show the events of the intent");
  if (resumed?.ok?.recovered !== true || same?.c !== second.c) throw new Error("eu did not go on where us had been");
  return cursor;
}

interface Line {
  readonly ok?: { readonly recovered?: boolean };
  readonly c?: string;
}

async function readLines(url: string, { secret }: Backend, count: number): Promise<Line[]> {
  const headers = { authorization: `Bearer ${secret}`, accept: "application/x-ndjson" };
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(WAIT_MS) });
  if (!response.ok || response.body === null) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  const lines: Line[] = [];
  const reader = createInterface({ input: Readable.fromWeb(response.body) });
  for await (const line of reader) {
    const parsed = JSON.parse(line) as Line;
    if (parsed.ok !== undefined || parsed.c !== undefined) lines.push(parsed);
    if (lines.length === count) break;
  }
  return lines;
}

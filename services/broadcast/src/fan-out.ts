// Sends one attempt of an intent to its nodes: the same bytes and headers to each, on core NATS.
// Resolves when the server has read all of them; whether a node got it, only its ack tells.

import { type Backbone, encodeHeaders } from "@outcry/backbone";
import type { LoadedIntent } from "@outcry/delivery";
import { type Clock, SUBJECTS } from "@outcry/protocol";

export interface FanOutDeps {
  backbone: Backbone;
  clock: Clock;
}

export async function fanOut(
  deps: FanOutDeps,
  intent: LoadedIntent,
  attempt: number,
  nodes: readonly string[],
): Promise<void> {
  sendAttempt(deps, intent, attempt, nodes);
  await deps.backbone.flush();
}

/** Without waiting for the server. Throws while the connection is down. */
export function sendAttempt(deps: FanOutDeps, intent: LoadedIntent, attempt: number, nodes: readonly string[]): void {
  const headers = encodeHeaders({
    "Outcry-Signature": intent.record.signature,
    "Outcry-Attempt": String(attempt),
    "Outcry-Time-Left-Ms": String(Math.max(0, intent.deadlineMs - deps.clock.now())),
    "X-Request-Id": intent.record.request_id,
    traceparent: intent.record.traceparent,
  });
  for (const node of nodes) deps.backbone.publish(SUBJECTS.nodeIntent(node), intent.bytes, { headers });
}

// Sets deliveries aside that no attempt could make: one message per intent and node in DEAD_LETTERS, then the event, then the row.

import type { Appender } from "@outcry/backbone";
import type { EventLog, LoadedIntent } from "@outcry/delivery";
import type { DeliveryRows, RunKeeper } from "@outcry/jobs";
import { type Clock, SUBJECTS, buildEvent, toRfc3339 } from "@outcry/protocol";

export interface DeadLetterDeps {
  deadLetters: Appender;
  events: EventLog;
  rows: DeliveryRows;
  run: RunKeeper;
  clock: Clock;
  onDead?: (cause: string, nodes: number) => void;
}

export interface DeadDeliveries {
  nodes: { index: number; node: string }[];
  attempts: number;
  cause: string;
  repeated: boolean;
}

/** What DEAD_LETTERS holds of a delivery; the intent itself stays in INTENTS under its id. */
export interface DeadDelivery {
  kind: "delivery";
  intent_id: string;
  node_id: string;
  cause: string;
  attempts: number;
  digest: string;
  time: string;
}

const encoder = new TextEncoder();

export async function deadLetter(deps: DeadLetterDeps, intent: LoadedIntent, dead: DeadDeliveries): Promise<void> {
  const { nodes, attempts, cause, repeated } = dead;
  await Promise.all(nodes.map(({ node }) => appendDeadDelivery(deps, intent, node, attempts, cause)));
  const event = buildEvent(
    "DELIVERY_DEAD_LETTERED",
    { intent_id: intent.id, cause, attempts, node_ids: nodes.map(({ node }) => node) },
    { topic: intent.topic, traceId: intent.intent.trace_id, key: [intent.id, String(attempts)], clock: deps.clock },
  );
  await deps.events.append(event, { repeated });
  await deps.run.during(() =>
    deps.rows.markDead(
      intent.id,
      nodes.map(({ index }) => index),
    ),
  );
  deps.onDead?.(cause, nodes.length);
}

async function appendDeadDelivery(
  deps: DeadLetterDeps,
  intent: LoadedIntent,
  node: string,
  attempts: number,
  cause: string,
): Promise<void> {
  const letter: DeadDelivery = {
    kind: "delivery",
    intent_id: intent.id,
    node_id: node,
    cause,
    attempts,
    digest: intent.record.request_digest,
    time: toRfc3339(deps.clock.now()),
  };
  // First on its subject: however often this is repeated, a delivery dies once.
  await deps.deadLetters.append({
    subject: SUBJECTS.deadDelivery(intent.id, node),
    data: encoder.encode(JSON.stringify(letter)),
    expectFirst: true,
  });
}

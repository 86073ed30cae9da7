// Sets deliveries aside that no attempt could make: the event, then the row, then one message per intent and node in
// DEAD_LETTERS. The row decides: only a delivery that it calls dead gets a letter, and none of those goes without.

import type { Appender } from "@outcry/backbone";
import { type DeadDelivery, type EventLog, type LoadedIntent, foldIntent } from "@outcry/delivery";
import type { DeliveryRows, RunKeeper } from "@outcry/jobs";
import {
  type Clock,
  type Event,
  type EventData,
  type PackedDelivery,
  SUBJECTS,
  atRevision,
  buildEvent,
  revisionKey,
  toRfc3339,
} from "@outcry/protocol";

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
}

const encoder = new TextEncoder();

/** Of those among `dead.nodes` who have not answered by the log. */
export async function deadLetter(deps: DeadLetterDeps, intent: LoadedIntent, dead: DeadDeliveries): Promise<void> {
  const topic = await deps.events.appendDecided(intent.topic, (events) => deathUntold(deps, intent, dead, events));
  const log = foldIntent(intent.record.targets, topic);
  if (log.ended || log.revision !== intent.revision) return;
  const told = dead.nodes.filter(({ node }) => log.deliveries.get(node)!.state === "dead");
  if (told.length === 0) return; // all of them have answered meanwhile
  await deps.run.during(() =>
    deps.rows.markDead(
      intent,
      told.map(({ index }) => index),
    ),
  );
  await writeLettersOfRow(deps, intent, topic);
}

/** An answer may be told already and not stand in the row yet: nobody is told dead behind it. Nor behind the end. */
function deathUntold(
  { clock }: DeadLetterDeps,
  intent: LoadedIntent,
  { nodes, attempts, cause }: DeadDeliveries,
  events: readonly Event[],
): Event | undefined {
  const log = foldIntent(intent.record.targets, events);
  if (log.ended || log.revision !== intent.revision) return undefined;
  const silent = nodes.map(({ node }) => node).filter((node) => log.deliveries.get(node)!.state === "pending");
  if (silent.length === 0) return undefined;
  return buildEvent(
    "DELIVERY_DEAD_LETTERED",
    { intent_id: intent.id, ...atRevision(intent.revision), cause, attempts, node_ids: silent },
    {
      topic: intent.topic,
      traceId: intent.intent.trace_id,
      key: [intent.id, String(attempts), ...revisionKey(intent.revision), ...silent],
      clock,
    },
  );
}

/** For what the row calls dead. One that has ended meanwhile gets its letters with its end. */
export async function writeLettersOfRow(
  deps: DeadLetterDeps,
  intent: LoadedIntent,
  history: readonly Event[],
): Promise<void> {
  const found = await deps.run.during(() => deps.rows.read(intent.id));
  if (found.kind !== "open" || found.row.revision !== intent.revision) return;
  await writeLetters(deps, intent, found.row.deliveries, history);
}

/** One letter for each delivery that is dead and was told to be, with the cause that the log names. */
export async function writeLetters(
  deps: Pick<DeadLetterDeps, "deadLetters" | "clock" | "onDead">,
  intent: LoadedIntent,
  deliveries: readonly PackedDelivery[],
  history: readonly Event[],
): Promise<void> {
  const causes = causesOf(history);
  const dead = intent.record.targets.filter((node, index) => deliveries[index]!.state === "dead" && causes.has(node));
  await Promise.all(dead.map((node) => appendLetter(deps, intent, node, causes.get(node)!)));
}

type Cause = Pick<DeadDelivery, "cause" | "attempts">;

function causesOf(history: readonly Event[]): Map<string, Cause> {
  const causes = new Map<string, Cause>();
  for (const event of history) {
    if (event.type !== "DELIVERY_DEAD_LETTERED") continue;
    const { node_ids, cause, attempts } = event.data as EventData<"DELIVERY_DEAD_LETTERED">;
    for (const node of node_ids) causes.set(node, { cause, attempts });
  }
  return causes;
}

async function appendLetter(
  deps: Pick<DeadLetterDeps, "deadLetters" | "clock" | "onDead">,
  intent: LoadedIntent,
  node: string,
  { cause, attempts }: Cause,
): Promise<void> {
  const letter: DeadDelivery = {
    kind: "delivery",
    intent_id: intent.id,
    node_id: node,
    cause,
    attempts,
    digest: intent.record.request_digest,
    version: intent.intent.version,
    time: toRfc3339(deps.clock.now()),
  };
  // First on its subject: however often this is repeated, a delivery dies once.
  const written = await deps.deadLetters.append({
    subject: SUBJECTS.deadDelivery(intent.id, node),
    data: encoder.encode(JSON.stringify(letter)),
    expectFirst: true,
  });
  if (written.kind === "appended") deps.onDead?.(cause, 1);
}

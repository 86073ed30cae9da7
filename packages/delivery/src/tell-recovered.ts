// Tells that dead deliveries answered: DELIVERY_RECOVERED once for each, and the word of it behind its dead letter. Whoever recorded
// the answer does this, and the step behind the end does it again: what the first has told, the second finds.

import type { Appender } from "@outcry/backbone";
import {
  type Clock,
  END_EVENTS,
  type Event,
  type EventType,
  type Recovery,
  SUBJECTS,
  buildEvent,
  toRfc3339,
} from "@outcry/protocol";
import type { EventLog } from "./event-log.js";
import type { LoadedIntent } from "./intent-book.js";
import { encodeFollowUp } from "./letters.js";
import { type Recovered, recoveriesOf } from "./recoveries.js";

export interface TellRecoveredDeps {
  events: EventLog;
  deadLetters: Appender;
  clock: Clock;
}

const END_TYPES = new Set<EventType>(Object.values(END_EVENTS));

/** `nodes`: of whom row or end say that they are dead no more; `quoted`: those of them of whom the end says that a quote counts. */
export async function tellRecovered(
  deps: TellRecoveredDeps,
  intent: LoadedIntent,
  nodes: readonly string[],
  quoted: readonly string[] = [],
): Promise<void> {
  const [wanted, counting] = [new Set(nodes), new Set(quoted)];
  const recovered = (topic: readonly Event[]): Recovered[] => recoveriesOf(topic, wanted, counting);
  const events = await deps.events.appendDecided(intent.topic, (topic) =>
    nextUntold(deps, intent, topic, recovered(topic)),
  );
  const told = recovered(events).filter((one) => one.told);
  await Promise.all(told.map((one) => markLetter(deps, intent.id, one)));
}

/** One event for all that recovered alike. Nothing follows the end: the step behind it has told what there was. */
function nextUntold(
  deps: TellRecoveredDeps,
  intent: LoadedIntent,
  topic: readonly Event[],
  recovered: readonly Recovered[],
): Event | undefined {
  if (topic.some(({ type }) => END_TYPES.has(type))) return undefined;
  const untold = recovered.filter((one) => !one.told);
  const [first] = untold;
  if (first === undefined) return undefined;
  const { by, attempts } = first;
  const alike = untold.filter((one) => one.by === by && one.attempts === attempts).map(({ nodeId }) => nodeId);
  return buildEvent(
    "DELIVERY_RECOVERED",
    { intent_id: intent.id, node_ids: alike, by, attempts },
    { topic: intent.topic, traceId: intent.intent.trace_id, key: [intent.id, ...alike], clock: deps.clock },
  );
}

async function markLetter(
  deps: TellRecoveredDeps,
  intentId: string,
  { nodeId, by, attempts, replayId }: Recovered,
): Promise<void> {
  const replayed = replayId === undefined ? {} : { replay_id: replayId };
  const word: Recovery = { by, attempts, time: toRfc3339(deps.clock.now()), ...replayed };
  const letter = SUBJECTS.deadDelivery(intentId, nodeId);
  // First on its subject: told again, it changes nothing.
  await deps.deadLetters.append({
    subject: SUBJECTS.letterFollowUp(letter, "recovered"),
    data: encodeFollowUp(word),
    expectFirst: true,
  });
}

// INTENT_AMENDED, once for each revision and in their order: whoever comes first tells what is missing, and nothing follows the end.

import { type EventLog, type LoadedIntent, revisionsOf } from "@outcry/delivery";
import {
  type Clock,
  END_EVENTS,
  type Event,
  type EventData,
  type EventType,
  buildEvent,
  revisionKey,
} from "@outcry/protocol";

const END_TYPES = new Set<EventType>(Object.values(END_EVENTS));

export async function tellAmendments(deps: { events: EventLog; clock: Clock }, intent: LoadedIntent): Promise<void> {
  if (intent.revision === 0) return;
  const [, ...amended] = revisionsOf(intent);
  await deps.events.appendDecided(intent.topic, (topic) => {
    if (topic.some(({ type }) => END_TYPES.has(type))) return undefined;
    const told = new Set(topic.flatMap(revisionTold));
    const next = amended.find(({ revision }) => !told.has(revision));
    return next && amendedEvent(next, deps.clock);
  });
}

const revisionTold = ({ type, data }: Event): number[] =>
  type === "INTENT_AMENDED" ? [(data as EventData<"INTENT_AMENDED">).revision] : [];

function amendedEvent(intent: LoadedIntent, clock: Clock): Event {
  const { payload } = intent.intent;
  return buildEvent(
    "INTENT_AMENDED",
    {
      intent_id: intent.id,
      revision: intent.revision,
      request_digest: intent.record.request_digest,
      supersedes: intent.previous!.record.request_digest,
      targets: intent.record.targets.length,
      quote_deadline: payload.quote_deadline,
      line_items: payload.line_items.length,
    },
    {
      topic: intent.topic,
      traceId: intent.intent.trace_id,
      key: [intent.id, ...revisionKey(intent.revision)],
      clock,
    },
  ) as Event;
}

// A dead letter as the API shows it: in a list, or alone with its payload or the delivery's timeline.

import { type Backbone } from "@outcry/backbone";
import { type DeadDelivery, type IntentBook, type LetterContent, readTopic, statusOfFate } from "@outcry/delivery";
import {
  type DeadLetter,
  type DeadLetterDetail,
  END_EVENTS,
  type Event,
  type EventData,
  type EventType,
  OutcryError,
  type TimelineEntry,
} from "@outcry/protocol";
import { type FoundLetter, lettersById, withFates } from "./find-letters.js";

export const UNKNOWN_VERSION = "unknown";

const END_TYPES = new Set<EventType>(Object.values(END_EVENTS));

/** Without a message's payload: a page of them would be as large as the messages were. */
export function viewLetter({ id, content, fate }: FoundLetter): DeadLetter {
  const { kind, cause, attempts, digest, version = UNKNOWN_VERSION, time } = content;
  return { id, kind, status: statusOfFate(fate), cause, attempts, digest, version, time, ...aboutOf(content) };
}

function aboutOf(content: LetterContent): Pick<DeadLetter, "intent_id" | "node_id" | "webhook_id" | "source"> {
  if (content.kind === "delivery") return { intent_id: content.intent_id, node_id: content.node_id };
  const { source } = content;
  return content.kind === "webhook" ? { webhook_id: content.webhook_id, source } : { source };
}

/** Throws `dead_letter_not_found`. */
export async function findLetter(backbone: Backbone, id: string): Promise<FoundLetter> {
  const [found] = await withFates(backbone, await lettersById(backbone, [id]), {});
  if (found === undefined) throw new OutcryError("dead_letter_not_found");
  return found;
}

export async function viewLetterDetail(
  deps: { backbone: Backbone; book: IntentBook },
  letter: FoundLetter,
): Promise<DeadLetterDetail> {
  const { discarded, replayed, recovered } = letter.fate;
  const { content } = letter;
  return {
    ...viewLetter(letter),
    ...(content.kind === "delivery" ? { timeline: await timelineOf(deps, content) } : { payload: content.payload }),
    ...(discarded === undefined ? {} : { discarded }),
    ...(replayed === undefined ? {} : { replayed }),
    ...(recovered === undefined ? {} : { recovered }),
  };
}

/** Empty when the intent has aged out of the record. */
async function timelineOf(
  { backbone, book }: { backbone: Backbone; book: IntentBook },
  { intent_id, node_id }: DeadDelivery,
): Promise<TimelineEntry[]> {
  const intent = await book.get(intent_id);
  if (intent === undefined) return [];
  return (await readTopic(backbone, intent.topic)).flatMap((event) => entriesOf(event, node_id));
}

/** What an event of the intent says about one node. */
export function entriesOf({ type, time, data }: Event, node: string): TimelineEntry[] {
  const entry = { time, event: type };
  if (END_TYPES.has(type)) return [entry];
  switch (type) {
    case "INTENT_CREATED":
      return [entry];
    case "INTENT_BROADCASTED":
      return [{ ...entry, attempt: 1 }];
    case "NODE_RESPONDED":
      return (data as EventData<"NODE_RESPONDED">).responses
        .filter(({ node_id }) => node_id === node)
        .map(({ status, reason, attempt, received_at }) => ({
          time: received_at,
          event: type,
          ...(attempt === undefined ? {} : { attempt }),
          detail: reason === undefined ? status : `${status}: ${reason}`,
        }));
    case "DELIVERY_RETRYING":
    case "DELIVERY_DEAD_LETTERED":
    case "DELIVERY_REPLAYED":
    case "DELIVERY_RECOVERED":
      return (data as { node_ids: string[] }).node_ids.includes(node) ? [{ ...entry, ...detailOf(type, data) }] : [];
    default:
      return []; // quotes and later types tell of the answer, not of the delivery
  }
}

function detailOf(type: EventType, data: unknown): Partial<TimelineEntry> {
  switch (type) {
    case "DELIVERY_DEAD_LETTERED": {
      const { attempts, cause } = data as EventData<"DELIVERY_DEAD_LETTERED">;
      return { attempt: attempts, detail: cause };
    }
    case "DELIVERY_REPLAYED": {
      const { attempt, replay_id } = data as EventData<"DELIVERY_REPLAYED">;
      return { attempt, replay_id };
    }
    case "DELIVERY_RECOVERED": {
      const { attempts, by } = data as EventData<"DELIVERY_RECOVERED">;
      return { attempt: attempts, detail: by };
    }
    default:
      return { attempt: (data as EventData<"DELIVERY_RETRYING">).attempt };
  }
}

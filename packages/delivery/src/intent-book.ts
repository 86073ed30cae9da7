// Intents at hand: loaded from the record when first asked for, kept while there is room.
// Answers arrive for intents that another process dispatched, so nothing may rest on having seen an intent before.

import { type Backbone, type Stored, getLast } from "@outcry/backbone";
import { type Clock, type Intent, STREAMS, SUBJECTS, TOPICS, parseRfc3339 } from "@outcry/protocol";
import { type EndRecord, type IntentRecord, decodeEndRecord, decodeIntentRecord } from "./intent-record.js";

const TARGETS_KEPT_MAX = 500_000; // about 60 MB of index entries
const UNKNOWN_KEPT_MAX = 10_000; // forged intent ids must not cost a read each
const UNKNOWN_KEPT_MS = 2_000; // a real one may be recorded a moment later

export interface LoadedIntent {
  readonly id: string;
  readonly record: IntentRecord;
  readonly intent: Intent;
  /** The signed bytes, as stored and as sent. */
  readonly bytes: Uint8Array;
  readonly deadlineMs: number;
  /** When INTENTS stored it, by the server's clock. */
  readonly storedMs: number;
  readonly topic: string;
  /** Place of a node in the packed row. */
  readonly indexOf: ReadonlyMap<string, number>;
}

export interface IntentBook {
  /** The intent if it is at hand. */
  peek(id: string): LoadedIntent | undefined;
  /** The intent, read from the record if need be; undefined when none is recorded, or only what cannot be read. */
  get(id: string): Promise<LoadedIntent | undefined>;
  /** Takes in a message of INTENTS that the caller already holds. */
  adopt(stored: Stored): LoadedIntent;
}

export function createIntentBook(deps: { backbone: Backbone; clock: Clock }): IntentBook {
  const { backbone, clock } = deps;
  const loaded = new Map<string, LoadedIntent>(); // in order of loading
  const loading = new Map<string, Promise<LoadedIntent | undefined>>();
  const unknown = new Map<string, number>();
  let targetsKept = 0;

  function keep(entry: LoadedIntent): LoadedIntent {
    if (loaded.has(entry.id)) return loaded.get(entry.id)!;
    loaded.set(entry.id, entry);
    unknown.delete(entry.id);
    targetsKept += entry.record.targets.length;
    for (const [id, oldest] of loaded) {
      if (targetsKept <= TARGETS_KEPT_MAX || id === entry.id) break;
      loaded.delete(id);
      targetsKept -= oldest.record.targets.length;
    }
    return entry;
  }

  // The oldest goes first, however often it was used: keeping the order of use would cost 7 % of a large fan-out, and what is
  // still asked for is read again.
  const peek = (id: string): LoadedIntent | undefined => loaded.get(id);

  function rememberUnknown(id: string): void {
    if (unknown.size >= UNKNOWN_KEPT_MAX) unknown.clear();
    unknown.set(id, clock.now() + UNKNOWN_KEPT_MS);
  }

  async function load(id: string): Promise<LoadedIntent | undefined> {
    const stored = await getLast(backbone, STREAMS.intents, SUBJECTS.intent(id));
    const intent = stored && readable(stored);
    if (intent !== undefined) return keep(intent);
    rememberUnknown(id);
    return undefined;
  }

  return {
    peek,
    adopt: (stored) => keep(openIntent(stored)),
    async get(id) {
      const entry = peek(id);
      if (entry !== undefined) return entry;
      if ((unknown.get(id) ?? 0) > clock.now()) return undefined;
      let pending = loading.get(id);
      if (pending === undefined) {
        pending = load(id).finally(() => loading.delete(id));
        loading.set(id, pending);
      }
      return pending;
    },
  };
}

/** The dispatcher sets an unreadable one aside; to everybody else it is no intent. */
function readable(stored: Stored): LoadedIntent | undefined {
  try {
    return openIntent(stored);
  } catch {
    return undefined;
  }
}

/** Throws SyntaxError or TypeError for anything but an intent's record. */
export function openIntent(stored: Stored): LoadedIntent {
  const { record, intent, bytes } = decodeIntentRecord(stored.data);
  return {
    id: intent.id,
    record,
    intent,
    bytes,
    deadlineMs: parseRfc3339(intent.payload.quote_deadline)!,
    storedMs: stored.time,
    topic: TOPICS.intent(record.backend_id, record.buyer_id, intent.id),
    indexOf: new Map(record.targets.map((node, index) => [node, index])),
  };
}

/** The intent's end as recorded, with the time it was stored; undefined while it is open. */
export async function readEnd(
  backbone: Backbone,
  intentId: string,
): Promise<{ end: EndRecord; storedMs: number } | undefined> {
  const stored = await getLast(backbone, STREAMS.intents, SUBJECTS.intentEnd(intentId));
  return stored === undefined ? undefined : { end: decodeEndRecord(stored.data), storedMs: stored.time };
}

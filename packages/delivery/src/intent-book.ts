// Intents at hand: loaded from the record when first asked for, kept while there is room.
// Answers arrive for intents that another process dispatched, so nothing may rest on having seen an intent before.

import { type Backbone, type Stored, getLast, readLast } from "@outcry/backbone";
import {
  type Clock,
  type Intent,
  OutcryError,
  STREAMS,
  SUBJECTS,
  TOPICS,
  parseIntentSubject,
  parseRfc3339,
} from "@outcry/protocol";
import {
  type EndRecord,
  type IntentRecord,
  decodeEndRecord,
  decodeIntentRecord,
  decodeRevisionRecord,
} from "./intent-record.js";

const TARGETS_KEPT_MAX = 500_000; // about 60 MB of index entries
const UNKNOWN_KEPT_MAX = 10_000; // forged intent ids must not cost a read each
const UNKNOWN_KEPT_MS = 2_000; // a real one may be recorded a moment later
const REFRESHED_EVERY_MS = 250; // of one intent, at a node's word: what it misses meanwhile is sent again

export interface LoadedIntent {
  readonly id: string;
  /** With envelope, signature and digest of the newest revision. */
  readonly record: IntentRecord;
  readonly intent: Intent;
  /** The signed bytes, as stored and as sent. */
  readonly bytes: Uint8Array;
  readonly deadlineMs: number;
  /** When INTENTS stored the intent as it was posted, by the server's clock. */
  readonly storedMs: number;
  /** When it stored this revision. */
  readonly recordedMs: number;
  readonly topic: string;
  /** Place of a node in the packed row. */
  readonly indexOf: ReadonlyMap<string, number>;
  readonly revision: number;
  /** Digests of the revisions before: what answers them counts no more. */
  readonly earlier: ReadonlySet<string>;
  /** The revision before; undefined for the first. */
  readonly previous: LoadedIntent | undefined;
  /** Last sequence of INTENTS that changed it, 0 = none: the next revision, or the end, expects this. */
  readonly changedSeq: number;
}

export interface IntentBook {
  /** The intent if it is at hand. */
  peek(id: string): LoadedIntent | undefined;
  /** The intent, read from the record if need be; undefined when none is recorded, or only what cannot be read. */
  get(id: string): Promise<LoadedIntent | undefined>;
  /** Takes in the first message of an intent, which the caller already holds. */
  adopt(stored: Stored): LoadedIntent;
  /** Takes in an amendment, which the caller already holds. Returns the newest revision. Throws as openIntent does, or temporarily. */
  adoptRevision(stored: Stored): Promise<LoadedIntent>;
  /** Takes in a newer revision that the caller has just recorded. */
  keep(intent: LoadedIntent): void;
  /** As get, from the record in any case: another process may have amended it. */
  refresh(id: string): Promise<LoadedIntent | undefined>;
  /** As refresh, at the word of somebody who may be wrong: seldom for one intent. Who asks while it is read waits for that. */
  refreshSeldom(id: string): Promise<LoadedIntent | undefined>;
}

export function createIntentBook(deps: { backbone: Backbone; clock: Clock }): IntentBook {
  const { backbone, clock } = deps;
  const loaded = new Map<string, LoadedIntent>(); // in order of loading
  const loading = new Map<string, Promise<LoadedIntent | undefined>>();
  const unknown = new Map<string, number>();
  const refreshedMs = new Map<string, number>();
  let targetsKept = 0;

  function keep(entry: LoadedIntent): LoadedIntent {
    const kept = loaded.get(entry.id);
    if (kept !== undefined && kept.revision >= entry.revision) return kept;
    if (kept !== undefined) {
      loaded.set(entry.id, entry); // in its place: as many targets
      return entry;
    }
    loaded.set(entry.id, entry);
    unknown.delete(entry.id);
    targetsKept += entry.record.targets.length;
    for (const [id, oldest] of loaded) {
      if (targetsKept <= TARGETS_KEPT_MAX || id === entry.id) break;
      loaded.delete(id);
      refreshedMs.delete(id);
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
    const intent = await readIntent(backbone, id);
    if (intent !== undefined) return keep(intent);
    rememberUnknown(id);
    return undefined;
  }

  function loadOnce(id: string): Promise<LoadedIntent | undefined> {
    let pending = loading.get(id);
    if (pending === undefined) {
      pending = load(id).finally(() => loading.delete(id));
      loading.set(id, pending);
    }
    return pending;
  }

  return {
    peek,
    adopt: (stored) => keep(openIntent(stored)),
    async get(id) {
      const entry = peek(id);
      if (entry !== undefined) return entry;
      if ((unknown.get(id) ?? 0) > clock.now()) return undefined;
      return loadOnce(id);
    },
    keep: (intent) => void keep(intent),
    async adoptRevision(stored) {
      const { revision } = decodeRevisionRecord(stored.data).record;
      const id = parseIntentSubject(stored.subject);
      const known = id === undefined ? undefined : (peek(id) ?? (await load(id)));
      if (known === undefined) throw new TypeError(`an amendment without its intent: ${stored.subject}`);
      if (known.revision >= revision) return known;
      if (known.revision === revision - 1) return keep(amendIntent(known, stored));
      const newest = await load(known.id);
      if (newest !== undefined && newest.revision >= revision) return newest;
      throw new OutcryError(
        "dependency_unavailable",
        `nats: a replica does not show revision ${revision} of ${id} yet`,
      );
    },
    refresh: load, // never one that is under way: it may have read before the change
    async refreshSeldom(id) {
      const nowMs = clock.now();
      if (nowMs - (refreshedMs.get(id) ?? 0) < REFRESHED_EVERY_MS) return loading.get(id) ?? peek(id);
      if (loaded.has(id)) refreshedMs.set(id, nowMs);
      return loadOnce(id);
    },
  };
}

/** One round trip for all of its revisions. */
async function readIntent(backbone: Backbone, id: string): Promise<LoadedIntent | undefined> {
  const stored = await readLast(backbone, STREAMS.intents, [SUBJECTS.intent(id), SUBJECTS.intentRevisions(id)]);
  const [first, ...revisions] = stored;
  if (first?.subject !== SUBJECTS.intent(id)) return undefined;
  const posted = readable(() => openIntent(first));
  return posted && revisions.reduce(afterChange, posted);
}

/** As amendIntent, but what cannot be read amends nothing; it still stands between the intent and its end. */
export const afterChange = (standing: LoadedIntent, stored: Stored): LoadedIntent =>
  readable(() => amendIntent(standing, stored)) ?? { ...standing, changedSeq: stored.seq };

/** The dispatcher sets an unreadable one aside; to everybody else it is no intent. */
function readable(read: () => LoadedIntent): LoadedIntent | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The intent as its next revision made it. Throws as openIntent does. */
export function amendIntent(standing: LoadedIntent, stored: Pick<Stored, "data" | "seq" | "time">): LoadedIntent {
  const { record, intent, bytes } = decodeRevisionRecord(stored.data);
  const { envelope, signature, request_digest, request_id, traceparent } = record;
  return {
    ...standing,
    record: { ...standing.record, envelope, signature, request_digest, request_id, traceparent },
    intent,
    bytes,
    deadlineMs: parseRfc3339(intent.payload.quote_deadline)!,
    recordedMs: stored.time,
    revision: record.revision,
    earlier: new Set([...standing.earlier, standing.record.request_digest]),
    previous: standing,
    changedSeq: stored.seq,
  };
}

/** All revisions that this one knows, the first as it was posted. */
export function revisionsOf(intent: LoadedIntent): [LoadedIntent, ...LoadedIntent[]] {
  const later: LoadedIntent[] = [];
  let first = intent;
  for (; first.previous !== undefined; first = first.previous) later.unshift(first);
  return [first, ...later];
}

/** As it was posted. Throws SyntaxError or TypeError for anything but an intent's record. */
export function openIntent(stored: Stored): LoadedIntent {
  const { record, intent, bytes } = decodeIntentRecord(stored.data);
  return {
    id: intent.id,
    record,
    intent,
    bytes,
    deadlineMs: parseRfc3339(intent.payload.quote_deadline)!,
    storedMs: stored.time,
    recordedMs: stored.time,
    topic: TOPICS.intent(record.backend_id, record.buyer_id, intent.id),
    indexOf: new Map(record.targets.map((node, index) => [node, index])),
    revision: 0,
    earlier: NONE,
    previous: undefined,
    changedSeq: 0,
  };
}

const NONE: ReadonlySet<string> = new Set();

/** The intent's end as recorded, with the time it was stored; undefined while it is open. */
export async function readEnd(
  backbone: Backbone,
  intentId: string,
): Promise<{ end: EndRecord; storedMs: number } | undefined> {
  const stored = await getLast(backbone, STREAMS.intents, SUBJECTS.intentEnd(intentId));
  return stored === undefined ? undefined : { end: decodeEndRecord(stored.data), storedMs: stored.time };
}

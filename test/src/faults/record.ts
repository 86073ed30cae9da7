// Everything that the record holds, as plain data for the checker: read by the services' own NATS user, changed by nobody.

import { type Backbone, connectBackbone, readAll, type Stored } from "@outcry/backbone";
import { type EndRecord, type IntentRecord, QUOTE_SIGNATURE_HEADER, type RevisionRecord } from "@outcry/delivery";
import type { Brokers } from "@outcry/dev";
import { type Event, parseDeadLetter, silentLog, STREAMS, systemClock } from "@outcry/protocol";

export interface Entry<T> {
  seq: number;
  /** When the stream stored it. */
  timeMs: number;
  subject: string;
  value: T;
}

export interface QuoteEntry {
  envelope: string;
  signed: boolean;
}

export interface DeadEntry {
  kind: string;
  cause: string;
  attempts: number;
  intent_id?: string;
  node_id?: string;
  source?: { stream: string; sequence: number; subject: string };
  payload?: string;
}

export interface RecordCopy {
  intents: Entry<IntentRecord>[];
  revisions: Entry<RevisionRecord>[];
  ends: Entry<EndRecord>[];
  events: Entry<Event>[];
  quotes: Entry<QuoteEntry>[];
  deadLetters: Entry<DeadEntry>[];
}

export interface RecordReader {
  /** Everything so far. What was read before is not read again. */
  read(): Promise<RecordCopy>;
  readonly backbone: Backbone;
  close(): Promise<void>;
}

export async function openRecord(brokers: Brokers): Promise<RecordReader> {
  const backbone = await connectBackbone({
    servers: [brokers.nats.url],
    credentials: { creds: brokers.auth.creds.service },
    name: "record-reader",
    inboxPrefix: "_INBOX_svc",
    log: silentLog,
    clock: systemClock,
  });
  const copy: RecordCopy = { intents: [], revisions: [], ends: [], events: [], quotes: [], deadLetters: [] };
  const next = new Map<string, number>();

  async function readOn(stream: string, take: (stored: Stored) => void): Promise<void> {
    for await (const stored of readAll(backbone, stream, { fromSeq: next.get(stream) ?? 1 })) {
      take(stored);
      next.set(stream, stored.seq + 1);
    }
  }

  return {
    backbone,
    async read() {
      await readOn(STREAMS.intents, (stored) => {
        if (stored.subject.endsWith(".end")) copy.ends.push(entry(stored, json(stored) as EndRecord));
        else if (stored.subject.includes(".rev.")) copy.revisions.push(entry(stored, json(stored) as RevisionRecord));
        else copy.intents.push(entry(stored, json(stored) as IntentRecord));
      });
      await readOn(STREAMS.events, (stored) => copy.events.push(entry(stored, json(stored) as Event)));
      await readOn(STREAMS.quotes, (stored) => {
        const signed = stored.headers.last(QUOTE_SIGNATURE_HEADER) !== undefined;
        copy.quotes.push(entry(stored, { envelope: textOf(stored), signed }));
      });
      await readOn(STREAMS.deadLetters, (stored) => {
        const isLetter = parseDeadLetter(stored.subject) !== undefined; // not what became of one, nor a replay
        if (isLetter) copy.deadLetters.push(entry(stored, json(stored) as DeadEntry));
      });
      return copy;
    },
    close: () => backbone.close(),
  };
}

const textOf = (stored: Stored): string => Buffer.from(stored.data).toString("utf8");
const json = (stored: Stored): unknown => JSON.parse(textOf(stored));
const entry = <T>({ seq, time, subject }: Stored, value: T): Entry<T> => ({ seq, timeMs: time, subject, value });

/** Each of these intents has its end event, and each stored quote its outcome. */
export function isSettled(record: RecordCopy, wanted: readonly string[]): boolean {
  const ended = new Set<string>();
  const judged = new Set<string>();
  for (const { value } of record.events) {
    const { intent_id, quote_id } = value.data as { intent_id: string; quote_id?: string };
    if (/^INTENT_(?:CLOSED|EXPIRED|CANCELLED)$/.test(value.type)) ended.add(intent_id);
    if (quote_id !== undefined) judged.add(quote_id);
  }
  return (
    wanted.every((id) => ended.has(id)) && record.quotes.every(({ subject }) => judged.has(subject.split(".")[3]!))
  );
}

/** The part that is about these intents. */
export function partOf(record: RecordCopy, ids: ReadonlySet<string>): RecordCopy {
  const about = ({ value }: { value: { data: unknown } }) => ids.has((value.data as { intent_id: string }).intent_id);
  return {
    intents: record.intents.filter(({ subject }) => ids.has(subject.split(".")[3]!)),
    revisions: record.revisions.filter(({ subject }) => ids.has(subject.split(".")[3]!)),
    ends: record.ends.filter(({ subject }) => ids.has(subject.split(".")[3]!)),
    events: record.events.filter(about),
    quotes: record.quotes.filter(({ subject }) => ids.has(subject.split(".")[1]!)),
    deadLetters: record.deadLetters.filter(({ subject }) => ids.has(subject.split(".")[1]!)),
  };
}

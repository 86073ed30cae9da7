// Finds dead letters that fit a filter: newest first for a reader, oldest first for a replay. What one request may look at is
// bounded, so a page may be short and yet have more behind it.

import { type Backbone, type Stored, readAll, readLast, seqAtTime, streamHead } from "@outcry/backbone";
import { type LetterContent, type LetterFate, decodeLetter, readFates, statusOfFate } from "@outcry/delivery";
import { type LetterFilter, LIMITS, STREAMS, SUBJECTS, parseDeadLetter, parseRfc3339 } from "@outcry/protocol";

const WINDOW = 500; // sequences of one read: pages are cut from the stream's end, which itself is read forwards

export interface Letter {
  id: string;
  seq: number;
  content: LetterContent;
}

export interface FoundLetter extends Letter {
  fate: LetterFate;
}

export interface LetterPage {
  /** Newest first. */
  found: FoundLetter[];
  scanned: number;
  /** Where the next page begins; undefined at the end. */
  nextBefore: number | undefined;
}

export interface LetterQuery {
  filter: LetterFilter;
  limit: number;
  /** Sequence before which the page begins. */
  before?: number | undefined;
}

/** Sequences that a filter's times allow: `from` is of it, `before` is not. */
export interface LetterRange {
  from: number;
  before: number;
}

export async function rangeOf(backbone: Backbone, { since, until }: LetterFilter): Promise<LetterRange> {
  const head = await streamHead(backbone, STREAMS.deadLetters);
  const at = (time: string) => seqAtTime(backbone, STREAMS.deadLetters, parseRfc3339(time)!);
  return {
    from: since === undefined ? Math.max(1, head.firstSeq) : await at(since),
    before: until === undefined ? head.lastSeq + 1 : await at(until),
  };
}

export async function newestLetters(backbone: Backbone, query: LetterQuery): Promise<LetterPage> {
  const { filter, limit } = query;
  const range = await rangeOf(backbone, filter);
  const before = Math.min(range.before, query.before ?? Infinity);
  const stopAt = Math.max(range.from, before - LIMITS.deadLettersScannedMax);
  const found: FoundLetter[] = [];
  let scanned = 0;
  for (let end = before; end > stopAt;) {
    const start = Math.max(stopAt, end - WINDOW);
    const fitting = (await lettersBetween(backbone, filter, start, end)).toReversed();
    scanned += end - start;
    for (let at = 0; at < fitting.length && found.length < limit; at += limit) {
      found.push(...(await withFates(backbone, fitting.slice(at, at + limit), filter)));
    }
    end = start;
    // Cut where the limit fell: what lies behind it belongs to the next page.
    if (found.length >= limit)
      return { found: found.slice(0, limit), scanned, nextBefore: furtherThan(range, found[limit - 1]!.seq) };
  }
  return { found, scanned, nextBefore: furtherThan(range, stopAt) };
}

const furtherThan = ({ from }: LetterRange, seq: number): number | undefined => (seq > from ? seq : undefined);

/** Ascending, by everything of the filter but its status. */
async function lettersBetween(backbone: Backbone, filter: LetterFilter, start: number, end: number): Promise<Letter[]> {
  const letters: Letter[] = [];
  const range = { fromSeq: start, upToSeq: end - 1, batch: end - start, ...subjectOf(filter) };
  for await (const stored of readAll(backbone, STREAMS.deadLetters, range)) {
    const letter = fittingLetter(stored, filter);
    if (letter !== undefined) letters.push(letter);
  }
  return letters;
}

/** Letters of the range in the stream's order, for as long as the caller takes them. */
export async function* lettersFrom(
  backbone: Backbone,
  filter: LetterFilter,
  { from, before }: LetterRange,
): AsyncGenerator<Letter> {
  const range = { fromSeq: from, upToSeq: before - 1, batch: WINDOW, ...subjectOf(filter) };
  for await (const stored of readAll(backbone, STREAMS.deadLetters, range)) {
    const letter = fittingLetter(stored, filter);
    if (letter !== undefined) yield letter;
  }
}

/** Letters by their ids, in the stream's order; unknown ids are left out. */
export async function lettersById(
  backbone: Backbone,
  ids: readonly string[],
  filter: LetterFilter = {},
): Promise<Letter[]> {
  const known = ids.filter((id) => parseDeadLetter(id) !== undefined);
  if (known.length === 0) return [];
  const stored = await readLast(backbone, STREAMS.deadLetters, known);
  return stored.flatMap((one) => fittingLetter(one, filter) ?? []);
}

/** With what became of them; those of another status than the filter's are left out. */
export async function withFates(
  backbone: Backbone,
  letters: readonly Letter[],
  { status }: LetterFilter,
): Promise<FoundLetter[]> {
  if (letters.length === 0) return [];
  const fates = await readFates(
    backbone,
    letters.map(({ id }) => id),
  );
  return letters
    .map((letter) => ({ ...letter, fate: fates.get(letter.id)! }))
    .filter(({ fate }) => status === undefined || statusOfFate(fate) === status);
}

function fittingLetter(stored: Stored, filter: LetterFilter): Letter | undefined {
  if (parseDeadLetter(stored.subject) === undefined) return undefined; // what became of one, or a replay
  const content = decodeLetter(stored);
  return fits(content, filter) ? { id: stored.subject, seq: stored.seq, content } : undefined;
}

function fits(letter: LetterContent, { kind, cause, node_id, intent_id, stream }: LetterFilter): boolean {
  const delivery = letter.kind === "delivery" ? letter : undefined;
  const message = letter.kind === "message" ? letter : undefined;
  return (
    (kind === undefined || letter.kind === kind) &&
    (cause === undefined || letter.cause === cause) &&
    (node_id === undefined || delivery?.node_id === node_id) &&
    (intent_id === undefined || delivery?.intent_id === intent_id) &&
    (stream === undefined || message?.source.stream === stream)
  );
}

/** The narrowest subject that holds all that fit. */
function subjectOf({ kind, node_id, intent_id, stream }: LetterFilter): { filter?: string } {
  if (intent_id !== undefined || node_id !== undefined) return { filter: `dead.${intent_id ?? "*"}.${node_id ?? "*"}` };
  if (stream !== undefined) return { filter: `dead.consumer.${stream}.*` };
  if (kind === "delivery") return { filter: SUBJECTS.allDeadDeliveries };
  if (kind === "webhook") return { filter: SUBJECTS.allDeadWebhookEvents };
  return kind === "message" ? { filter: SUBJECTS.allDeadMessages } : {};
}

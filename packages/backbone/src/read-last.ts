// The newest message of each of many subjects by multi-subject Direct Get (ADR-31), and which subjects there are.

import type { Backbone } from "./connect.js";
import { askJetStream, refusal } from "./jetstream.js";
import { readBatch, streamHead } from "./read.js";
import type { Stored } from "./stored.js";

const FILTERS_PER_READ = 200; // the server answers at most 1,024 messages at once: each filter may match five
const SUBJECTS_PAGE = 100_000; // the server's own page

/** In the order of the stream. A filter may hold wildcards that match a few subjects each. */
export async function readLast(backbone: Backbone, stream: string, filters: readonly string[]): Promise<Stored[]> {
  const found: Stored[] = [];
  for (let at = 0; at < filters.length; at += FILTERS_PER_READ) {
    const lastOf = filters.slice(at, at + FILTERS_PER_READ);
    found.push(...(await readBatch(backbone, stream, { seq: 1, lastOf })).messages);
  }
  return found.toSorted((one, other) => one.seq - other.seq);
}

/** Subjects of the stream that match, in no order. */
export async function subjectsOf(backbone: Backbone, stream: string, filter: string): Promise<string[]> {
  const subjects: string[] = [];
  for (;;) {
    const query = { subjects_filter: filter, offset: subjects.length };
    const answer = await askJetStream<{ state: { subjects?: Record<string, number> } }>(
      backbone,
      `STREAM.INFO.${stream}`,
      query,
    );
    if (answer.kind !== "ok") throw refusal(answer.error, `reading the subjects of ${stream}`);
    const page = Object.keys(answer.value.state.subjects ?? {});
    subjects.push(...page);
    if (page.length < SUBJECTS_PAGE) return subjects;
  }
}

/** How many messages match. */
export async function countMessages(backbone: Backbone, stream: string, filter: string): Promise<number> {
  const { firstSeq } = await streamHead(backbone, stream);
  const { messages, pending } = await readBatch(backbone, stream, { seq: firstSeq, filter, batch: 1 });
  return messages.length + pending;
}

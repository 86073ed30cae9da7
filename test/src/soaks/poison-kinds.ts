// Bytes that are none of ours, and where each durable consumer would take them. A consumer that is not in COVERED fails the soak.

import { intentId, newId, STREAMS, SUBJECTS, TOPICS } from "@outcry/protocol";
import type { DeadEntry } from "../faults/record.js";

export interface Poison {
  stream: string;
  subject: string;
  data: Uint8Array;
  /** Where it was stored. */
  seq: number;
}

interface Covered {
  stream: string;
  /** Of the durable consumer. */
  name: RegExp;
  subject: (nth: number, backend: string) => string;
  /** Of the dead letter of the message at this place. */
  letter: (seq: number, webhook: string) => string;
}

const messageLetter = (stream: string) => (seq: number) => SUBJECTS.deadMessage(stream, seq);
const unknownIntent = (nth: number) => intentId("bkd_poison", String(nth));

export const COVERED: Readonly<Record<string, Covered>> = {
  dispatch: {
    stream: STREAMS.intents,
    name: /^dispatch$/,
    subject: (nth) => SUBJECTS.intent(unknownIntent(nth)),
    letter: messageLetter(STREAMS.intents),
  },
  amend: {
    stream: STREAMS.intents,
    name: /^amend$/,
    subject: (nth) => SUBJECTS.intentRevision(unknownIntent(nth), 1),
    letter: messageLetter(STREAMS.intents),
  },
  finish: {
    stream: STREAMS.intents,
    name: /^finish$/,
    subject: (nth) => SUBJECTS.intentEnd(unknownIntent(nth)),
    letter: messageLetter(STREAMS.intents),
  },
  intake: {
    stream: STREAMS.quotes,
    name: /^intake$/,
    subject: (nth) => `quotes.none.none.${nth}`, // a well-named quote is refused instead, with its code
    letter: messageLetter(STREAMS.quotes),
  },
  webhook: {
    stream: STREAMS.events,
    name: /^webhook-whk_\w+-\d+$/,
    subject: (nth, backend) => TOPICS.intent(backend, undefined, unknownIntent(nth)),
    letter: (seq, webhook) => SUBJECTS.deadWebhookEvent(webhook, seq),
  },
};

/** What no consumer can read: by turns random bytes, nothing, cut JSON, JSON of another shape, and a message cut in the middle. */
export function poisonBytes(nth: number, random: () => number): Uint8Array {
  const kinds = [
    () => Uint8Array.from({ length: 1 + Math.floor(random() * 500) }, () => 128 + Math.floor(random() * 128)),
    () => new Uint8Array(0),
    () => Buffer.from('{"record_version":1,"envelope":"'),
    () => Buffer.from(JSON.stringify([newId("int"), random()])),
    () => Buffer.from("null"),
    () => Buffer.from(JSON.stringify({ record_version: 99, type: 7, outcome: random() })),
  ];
  return kinds[nth % kinds.length]!();
}

/** What is wrong with the letter of this poison; undefined: nothing. */
export function faultOfLetter(letter: DeadEntry | undefined, poison: Poison): string | undefined {
  if (letter === undefined) return "no letter";
  if (!/\w/.test(letter.cause)) return "no cause";
  if (!Buffer.from(letter.payload ?? "", "base64").equals(poison.data)) return "another payload";
  const { stream, sequence, subject } = letter.source ?? {};
  if (stream !== poison.stream || sequence !== poison.seq || subject !== poison.subject) return "another source";
  return undefined;
}

// Dead letters as DEAD_LETTERS holds them: the letter on its subject, and what became of it on the subjects behind it.

import { type Backbone, type Stored, readLast } from "@outcry/backbone";
import {
  type Discard,
  type LetterReplay,
  type LetterStatus,
  type LetterVerb,
  type Recovery,
  STREAMS,
  SUBJECTS,
} from "@outcry/protocol";
import type { DeadMessage } from "./dead-message.js";

/** Of a delivery; the intent itself stays in INTENTS under its id. */
export interface DeadDelivery {
  kind: "delivery";
  intent_id: string;
  node_id: string;
  cause: string;
  attempts: number;
  digest: string;
  /** Protocol version of the intent; letters of before 2026-11-21 have none. */
  version?: string;
  time: string;
}

/** An event that a webhook's receiver did not take at any attempt. */
export interface DeadWebhookEvent extends Omit<DeadMessage, "kind"> {
  kind: "webhook";
  webhook_id: string;
}

export type LetterContent = DeadDelivery | DeadMessage | DeadWebhookEvent;

/** What became of one letter; the newest of each kind. */
export interface LetterFate {
  discarded?: Discard;
  replayed?: LetterReplay;
  recovered?: Recovery;
  /** Last sequence of `….replayed`, 0 = none: the next word on it expects this. */
  replayedSeq: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const encodeFollowUp = (word: Discard | LetterReplay | Recovery): Uint8Array =>
  encoder.encode(JSON.stringify(word));

export const decodeLetter = (stored: Stored): LetterContent => JSON.parse(decoder.decode(stored.data)) as LetterContent;

/** Fate of each letter by its id; one round trip for a few hundred. */
export async function readFates(backbone: Backbone, letters: readonly string[]): Promise<Map<string, LetterFate>> {
  const fates = new Map<string, LetterFate>(letters.map((id) => [id, { replayedSeq: 0 }]));
  const behind = letters.map((id) => SUBJECTS.letterFollowUps(id));
  for (const { subject, seq, data } of await readLast(backbone, STREAMS.deadLetters, behind)) {
    const dot = subject.lastIndexOf(".");
    const fate = fates.get(subject.slice(0, dot));
    if (fate === undefined) continue;
    const verb = subject.slice(dot + 1) as LetterVerb;
    Object.assign(fate, { [verb]: JSON.parse(decoder.decode(data)) as unknown });
    if (verb === "replayed") fate.replayedSeq = seq;
  }
  return fates;
}

/** What happened last in effect: an answer counts even behind a discard, and a message that failed again is open again. */
export function statusOfFate({ discarded, replayed, recovered }: LetterFate): LetterStatus {
  if (recovered !== undefined || replayed?.outcome === "handled") return "recovered";
  if (discarded !== undefined) return "discarded";
  return replayed === undefined || replayed.outcome === "failed" ? "open" : "replayed";
}

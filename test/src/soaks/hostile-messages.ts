// What a node may publish, filled with what no node should: by the permissions of its own JWT, so that a new subject is in it at once.

import { ERRORS, LIMITS, type QuoteAnswer, SUBJECTS } from "@outcry/protocol";
import type { Body } from "../hostile-bodies.js";
import type { Violation } from "../faults/history.js";
import type { RawNode } from "../raw-node.js";

/** Subjects, with `*`, that the user of this JWT may publish on. */
export function publishableBy(jwt: string): string[] {
  const [, claims] = jwt.split(".");
  const { nats } = JSON.parse(Buffer.from(claims!, "base64url").toString("utf8")) as {
    nats: { pub: { allow: string[] } };
  };
  return nats.pub.allow.toSorted();
}

/** Bytes changed at random: a few replaced, taken out or put in. */
export function mutated(bytes: Uint8Array, random: () => number): Uint8Array {
  let copy = Buffer.from(bytes);
  const changes = 1 + Math.floor(random() * 4);
  for (let change = 0; change < changes; change++) {
    const at = Math.floor(random() * copy.length);
    const byte = Math.floor(random() * 256);
    const roll = random();
    if (roll < 0.4) copy[at] = byte;
    else if (roll < 0.7) copy = Buffer.concat([copy.subarray(0, at), copy.subarray(at + 1)]);
    else copy = Buffer.concat([copy.subarray(0, at), Buffer.of(byte), copy.subarray(at)]);
  }
  return copy;
}

/** An honest message of each verb, to be mutated. */
export function honestMessages(node: RawNode, quote: Uint8Array, ack: Uint8Array): Record<string, Uint8Array> {
  return {
    [SUBJECTS.ack(node.id, "*")]: ack,
    [SUBJECTS.nodeQuote(node.id, "*")]: quote,
    [SUBJECTS.catchup(node.id)]: Buffer.from("{}"),
    [SUBJECTS.heartbeat(node.id)]: Buffer.from("{}"),
  };
}

export const fitsPayload = ({ bytes }: Body): boolean => bytes.length <= LIMITS.nodePayloadBytesMax;

/** A refusal with a code of the table, or "stored": the bytes may have been changed to no effect. */
export function judgeQuoteAnswer(answer: QuoteAnswer | undefined, name: string): Violation[] {
  if (answer === undefined) return [{ rule: "no_answer", detail: name }];
  if (answer.kind === "stored" || (Object.hasOwn(ERRORS, answer.code) && answer.code !== "internal")) return [];
  return [{ rule: "unknown_code", detail: `${name}: ${answer.code}` }];
}

/** `outcry_acks_total{status="…"}` of a metrics page, by its label. */
export function countsOf(page: string, metric: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const line of page.split("\n")) {
    const [, label, value] = new RegExp(`^${metric}\\{[^}]*?="([^"]+)"[^}]*\\} (\\S+)$`).exec(line) ?? [];
    if (label !== undefined) counts[label] = (counts[label] ?? 0) + Number(value);
  }
  return counts;
}

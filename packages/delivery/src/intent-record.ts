// What the record holds of an intent: the one message on ucp.v1.intent.<id>, one on ….rev.<n> for each amendment, and the one on ….end.
// The signed bytes stand in it unchanged; caller, buyer and routing stand beside them and are never sent to a node.

import {
  type DeliveryState,
  type Intent,
  type Outcome,
  type PackedDelivery,
  type Routing,
  packDelivery,
  unpackDelivery,
} from "@outcry/protocol";

export interface IntentRecord {
  record_version: 1;
  /** The canonical, signed bytes as text. */
  envelope: string;
  /** Detached JWS over them. */
  signature: string;
  /** Digest of the envelope's bytes. */
  request_digest: string;
  /** Digest of the canonical HTTP body: an Idempotency-Key is good for one of them. */
  body_digest: string;
  backend_id: string;
  buyer_id?: string;
  routing: Routing;
  /** In the order of the packed delivery row. */
  targets: string[];
  registry_revision: number;
  request_id: string;
  traceparent: string;
}

/** An amendment: the whole intent anew. Targets, routing and owner stay those of the first message (ADR-12). */
export interface RevisionRecord {
  record_version: 1;
  revision: number;
  envelope: string;
  signature: string;
  request_digest: string;
  /** Digest of the revision before. */
  supersedes: string;
  /** Digest of the Idempotency-Key; under it this body, by its digest, was applied once. */
  key_digest: string;
  body_digest: string;
  /** Who amended it. */
  by: string;
  request_id: string;
  traceparent: string;
}

export interface EndRecord {
  record_version: 1;
  outcome: Outcome;
  reason?: string;
  /** Of the intent as it ended; absent: as it was posted. */
  revision?: number;
  /** A quote counts if it was stored by the deadline and at or below this sequence of QUOTES. */
  quotes_through: number;
  /** Final delivery states, packed as in the row, base64. */
  deliveries: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const encodeRecord = (record: IntentRecord | RevisionRecord | EndRecord): Uint8Array =>
  encoder.encode(JSON.stringify(record));

/** Throws SyntaxError or TypeError for anything but a record of this service: the caller sets the message aside. */
export function decodeIntentRecord(data: Uint8Array): { record: IntentRecord; intent: Intent; bytes: Uint8Array } {
  const record = JSON.parse(decoder.decode(data)) as IntentRecord;
  if (record.record_version !== 1 || !Array.isArray(record.targets)) throw new TypeError("not an intent record");
  const intent = JSON.parse(record.envelope) as Intent;
  return { record, intent, bytes: encoder.encode(record.envelope) };
}

/** Throws as decodeIntentRecord does. */
export function decodeRevisionRecord(data: Uint8Array): { record: RevisionRecord; intent: Intent; bytes: Uint8Array } {
  const record = JSON.parse(decoder.decode(data)) as RevisionRecord;
  if (record.record_version !== 1 || !(record.revision >= 1)) throw new TypeError("not a revision record");
  const intent = JSON.parse(record.envelope) as Intent;
  return { record, intent, bytes: encoder.encode(record.envelope) };
}

export function decodeEndRecord(data: Uint8Array): EndRecord {
  const record = JSON.parse(decoder.decode(data)) as EndRecord;
  if (record.record_version !== 1 || typeof record.quotes_through !== "number")
    throw new TypeError("not an end record");
  return record;
}

export const packDeliveries = (deliveries: PackedDelivery[]): string =>
  Buffer.from(deliveries.map(packDelivery)).toString("base64");

export const unpackDeliveries = (packed: string): PackedDelivery[] =>
  Array.from(Buffer.from(packed, "base64"), unpackDelivery);

/** Delivery state of each answer of a node. */
export const stateOfAnswer = {
  accepted: "acked",
  declined: "declined",
  rejected: "rejected",
  quoted: "quoted",
} as const satisfies Record<string, DeliveryState>;

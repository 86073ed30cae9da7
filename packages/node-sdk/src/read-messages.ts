// From received bytes to a trusted intent, cancel or notice. Pure: keys and time come in, nothing is sent.

import {
  Cancel,
  check,
  type ErrorCode,
  Intent,
  isId,
  LIMITS,
  Notice,
  parseRfc3339,
  parseStrict,
  PROTOCOL,
  PROTOCOL_VERSION,
} from "@outcry/protocol";
import { checkFreshness, type KeySource, verifyEnvelope } from "@outcry/signing";

export interface Reading {
  readonly bytes: Uint8Array;
  readonly signature: string | undefined;
  readonly keys: KeySource;
  readonly nodeId: string;
  readonly nowMs: number;
  /** Of the header Outcry-Time-Left-Ms: spares a node whose clock is behind. */
  readonly timeLeftMs?: number | undefined;
}

type Refused = { kind: "refused"; code: ErrorCode; detail: string; intentId: string | undefined };
export type ReadIntent =
  | { kind: "intent"; intent: Intent; deadlineMs: number }
  | { kind: "too_late"; intentId: string }
  | Refused;
export type ReadCancel = { kind: "cancel"; cancel: Cancel } | Refused;

export function readIntent(reading: Reading): ReadIntent {
  const envelope = readEnvelope(reading, "intent");
  if (envelope.kind === "refused") return envelope;
  const { value, fresh } = envelope;
  const checked = check(Intent, value);
  if (checked.kind === "invalid") return refused("validation_failed", describe(checked.pointers), value);
  const intent = checked.value;
  if (!isId("int", intent.id)) return refused("validation_failed", "id is not an intent's", value);
  if (fresh === "expired") return { kind: "too_late", intentId: intent.id };
  const ends = [parseRfc3339(intent.expires), parseRfc3339(intent.payload.quote_deadline)].filter(
    (at) => at !== undefined,
  );
  const left = reading.timeLeftMs === undefined ? [] : [reading.nowMs + reading.timeLeftMs];
  const deadlineMs = Math.min(...ends, ...left);
  return deadlineMs <= reading.nowMs
    ? { kind: "too_late", intentId: intent.id }
    : { kind: "intent", intent, deadlineMs };
}

export function readCancel(reading: Reading): ReadCancel {
  const envelope = readEnvelope(reading, "cancel");
  if (envelope.kind === "refused") return envelope;
  if (envelope.fresh === "expired") return refused("message_expired", "the cancel has expired", envelope.value);
  const checked = check(Cancel, envelope.value);
  if (checked.kind === "invalid") return refused("validation_failed", describe(checked.pointers), envelope.value);
  return { kind: "cancel", cancel: checked.value };
}

/** Notices are unsigned: only the service may publish on a node's subjects. */
export function readNotice(bytes: Uint8Array): Notice | undefined {
  const parsed = parseStrict(bytes);
  const checked = parsed.kind === "ok" ? check(Notice, parsed.value) : undefined;
  return checked?.kind === "ok" ? checked.value : undefined;
}

type EnvelopeRead = { kind: "ok"; value: { id?: unknown }; fresh: "ok" | "expired" } | Refused;

function readEnvelope({ bytes, signature, keys, nodeId, nowMs }: Reading, type: string): EnvelopeRead {
  const verdict = verifyEnvelope(bytes, signature, keys, { bytesMax: LIMITS.intentBytesMax });
  if (verdict.kind === "refused") return refused(verdict.code, verdict.detail, looseParse(bytes));
  const { envelope } = verdict;
  if (envelope.type !== type) return refused("message_type_wrong", `the type is not ${type}`, envelope);
  if (envelope["protocol"] !== PROTOCOL || envelope["version"] !== PROTOCOL_VERSION) {
    return refused("version_unknown", `this node speaks ${PROTOCOL} ${PROTOCOL_VERSION}`, envelope);
  }
  if (envelope["audience"] !== "eligible-nodes" && envelope["audience"] !== nodeId) {
    return refused("permission_denied", "the message is for another audience", envelope);
  }
  const freshness = checkFreshness(envelope, nowMs);
  if (freshness.kind === "future_dated") return refused("message_future_dated", "created lies in the future", envelope);
  return { kind: "ok", value: envelope, fresh: freshness.kind };
}

/** Only to learn which intent a refused message speaks of. */
function looseParse(bytes: Uint8Array): unknown {
  const parsed = parseStrict(bytes);
  return parsed.kind === "ok" ? parsed.value : undefined;
}

function refused(code: ErrorCode, detail: string, value: unknown): Refused {
  const id = value !== null && typeof value === "object" && "id" in value ? value.id : undefined;
  return { kind: "refused", code, detail, intentId: isId("int", id) ? id : undefined };
}

const describe = (pointers: readonly { pointer: string; detail: string }[]): string =>
  pointers.map(({ pointer, detail }) => `${pointer} ${detail}`).join("; ");

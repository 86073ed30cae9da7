// Hears the acks of nodes. The subject names node and intent, which the connection's permissions guarantee; the digest binds
// the ack to the intent's bytes. Never replies: a reply subject is the node's to forge.

import { type Backbone, type Incoming, type Subscription } from "@outcry/backbone";
import { type IntentBook, type LoadedIntent, type ResponseLog, type NodeAnswer } from "@outcry/delivery";
import {
  Ack,
  type Clock,
  type ErrorCode,
  LIMITS,
  type Log,
  SUBJECTS,
  buildAck,
  canonicalize,
  check,
  parseAnswer,
  parseStrict,
  toRfc3339,
  PROTOCOL,
  PROTOCOL_VERSION,
} from "@outcry/protocol";

import type { FloodGate } from "./flood-gate.js";
import type { KnownIntents } from "./known-intents.js";

const QUEUE_GROUP = "collectors";
const ACK_PREFIX = SUBJECTS.allAcks.slice(0, SUBJECTS.allAcks.indexOf("*")); // the node's token follows
const UNRECORDED_MAX = 100_000; // beyond it acks are dropped: the next attempt earns them again
const LOADING_MAX = 1_000; // acks that wait for an intent to be read: invented ids must not become a queue of reads

export interface CollectDeps {
  backbone: Backbone;
  book: IntentBook;
  responses: ResponseLog;
  ended: KnownIntents;
  floods: FloodGate;
  clock: Clock;
  log: Log;
  onAck?: (status: string) => void;
  onRefused?: (code: ErrorCode | "overloaded") => void;
}

export function collectAcks(deps: CollectDeps): Subscription {
  const memory: Memory = { usual: new UsualAcks(), told: new ToldAnswers(), loading: 0 };
  return deps.backbone.subscribe(
    SUBJECTS.allAcks,
    (message) => {
      // No await and no parsing while the intent is at hand: a thousand acks of one fan-out are one run of this loop.
      // A node that is not among its targets is refused by that, whatever its token.
      const { subject } = message;
      const dot = subject.lastIndexOf(".");
      const node = subject.slice(ACK_PREFIX.length, dot);
      if (!deps.floods.letsIn(node)) return deps.onRefused?.("rate_limited");
      const intent = deps.book.peek(subject.slice(dot + 1));
      if (intent !== undefined) return takeAck(deps, memory, intent, node, message);
      const answer = parseAnswer(subject);
      if (answer === undefined) return refuse(deps, message, "ack_intent_unknown");
      return loadThenTake(deps, memory, answer, message);
    },
    { queue: QUEUE_GROUP },
  );
}

async function loadThenTake(
  deps: CollectDeps,
  memory: Memory,
  answer: { node: string; intent: string },
  message: Incoming,
): Promise<void> {
  if (memory.loading >= LOADING_MAX) return refuse(deps, message, "overloaded");
  memory.loading += 1;
  const intent = await deps.book.get(answer.intent).finally(() => (memory.loading -= 1));
  if (intent === undefined) refuse(deps, message, "ack_intent_unknown");
  else takeAck(deps, memory, intent, answer.node, message);
}

interface Memory {
  usual: UsualAcks;
  told: ToldAnswers;
  loading: number;
}

function takeAck(deps: CollectDeps, memory: Memory, intent: LoadedIntent, node: string, message: Incoming): void {
  if (!intent.indexOf.has(node)) return refuse(deps, message, "ack_not_target");
  const ended = deps.clock.now() > intent.deadlineMs + LIMITS.endGraceMs || deps.ended.has(intent.id);
  if (ended) return refuse(deps, message, "ack_after_end");
  const ack = memory.usual.read(intent, message.data) ?? readAck(message.data);
  if (ack.kind === "refused") return refuse(deps, message, ack.code);
  if (deps.responses.unrecorded > UNRECORDED_MAX) return refuse(deps, message, "overloaded");
  const digest = ack.value.request_digest;
  if (digest === intent.record.request_digest) return recordAck(deps, memory, intent, node, ack.value);
  if (intent.earlier.has(digest)) return refuse(deps, message, "ack_superseded");
  void refreshThenRecord(deps, memory, intent, node, ack.value, message);
}

/** Another process may have amended it a moment ago. */
async function refreshThenRecord(
  deps: CollectDeps,
  memory: Memory,
  intent: LoadedIntent,
  node: string,
  ack: Ack,
  message: Incoming,
): Promise<void> {
  if (memory.loading >= LOADING_MAX) return refuse(deps, message, "overloaded");
  memory.loading += 1;
  try {
    const newest = (await deps.book.refreshSeldom(intent.id)) ?? intent;
    if (ack.request_digest === newest.record.request_digest) recordAck(deps, memory, newest, node, ack);
    else refuse(deps, message, newest.earlier.has(ack.request_digest) ? "ack_superseded" : "ack_digest_mismatch");
  } catch (error) {
    deps.log.warn({ err: error, intent_id: intent.id }, "an ack was not looked at; its node is asked again");
  } finally {
    memory.loading -= 1;
  }
}

function recordAck(deps: CollectDeps, memory: Memory, intent: LoadedIntent, node: string, ack: Ack): void {
  const { status, reason, attempt } = ack;
  const index = intent.indexOf.get(node)!;
  if (!memory.told.add(intent, index, status)) return;
  const response: NodeAnswer = {
    node_id: node,
    kind: "ack",
    status,
    ...(reason === undefined ? {} : { reason }),
    attempt,
    received_at: toRfc3339(deps.clock.now()),
  };
  deps.onAck?.(status);
  deps.responses.add(intent, response).catch((error: unknown) => {
    memory.told.remove(intent, index, status);
    deps.log.error({ err: error, intent_id: intent.id }, "an ack was not recorded");
  });
}

type ReadAck = { kind: "ok"; value: Ack } | { kind: "refused"; code: ErrorCode };

export function readAck(data: Uint8Array): ReadAck {
  const parsed = parseStrict(data, { bytesMax: LIMITS.ackBytesMax });
  if (parsed.kind === "refused") return parsed;
  const checked = check(Ack, parsed.value);
  if (checked.kind === "ok") return checked;
  const { protocol, version } = (parsed.value ?? {}) as Partial<Ack>;
  const known = protocol === PROTOCOL && version === PROTOCOL_VERSION;
  return { kind: "refused", code: known ? "validation_failed" : "version_unknown" };
}

const STATUS_BITS: Readonly<Record<Ack["status"], number>> = { accepted: 1, declined: 2, rejected: 4 };

/** Answers that are recorded, or about to be: a node that repeats itself adds nothing, and must not fill the log. */
class ToldAnswers {
  readonly #told = new WeakMap<LoadedIntent, Uint8Array>();

  /** False when this answer was told before. */
  add(intent: LoadedIntent, index: number, status: Ack["status"]): boolean {
    let told = this.#told.get(intent);
    if (told === undefined) this.#told.set(intent, (told = new Uint8Array(intent.record.targets.length)));
    const before = told[index]!;
    told[index] = before | STATUS_BITS[status];
    return told[index] !== before;
  }

  remove(intent: LoadedIntent, index: number, status: Ack["status"]): void {
    const told = this.#told.get(intent);
    if (told !== undefined) told[index]! &= ~STATUS_BITS[status];
  }
}

/** All nodes that accept one attempt send the very same bytes: compare them instead of parsing each. */
class UsualAcks {
  readonly #byIntent = new WeakMap<LoadedIntent, { bytes: Buffer; value: Ack }[]>();

  read(intent: LoadedIntent, data: Uint8Array): ReadAck | undefined {
    let attempts = this.#byIntent.get(intent);
    if (attempts === undefined) this.#byIntent.set(intent, (attempts = usualAcksOf(intent.record.request_digest)));
    const found = attempts.find(({ bytes }) => bytes.equals(data));
    return found && { kind: "ok", value: found.value };
  }
}

const usualAcksOf = (digest: string): { bytes: Buffer; value: Ack }[] =>
  [1, 2, 3].map((attempt) => {
    const value = buildAck(digest, attempt, "accepted");
    return { bytes: Buffer.from(canonicalize(value)), value };
  });

function refuse(deps: CollectDeps, message: Incoming, code: ErrorCode | "overloaded"): void {
  deps.onRefused?.(code);
  deps.log.debug({ subject: message.subject, code }, "an ack was refused");
}

// Hears the acks of nodes. The subject names node and intent, which the connection's permissions guarantee; the digest binds
// the ack to the intent's bytes; where signed acks are taken, the node's signature binds both for later. Never replies: a reply
// subject is the node's to forge.

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
import type { AckVerifier } from "./verify-acks.js";

const QUEUE_GROUP = "collectors";
const ACK_PREFIX = SUBJECTS.allAcks.slice(0, SUBJECTS.allAcks.indexOf("*")); // the node's token follows
const UNRECORDED_MAX = 100_000; // beyond it acks are dropped: the next attempt earns them again
const SIGNATURE_HEADER = "Outcry-Signature";
const LOADING_MAX = 1_000; // acks that wait for an intent to be read: invented ids must not become a queue of reads

export interface CollectDeps {
  backbone: Backbone;
  book: IntentBook;
  responses: ResponseLog;
  ended: KnownIntents;
  floods: FloodGate;
  /** Absent: signatures are ignored. */
  verifier?: AckVerifier | undefined;
  clock: Clock;
  log: Log;
  onAck?: (status: string) => void;
  onRefused?: (code: ErrorCode | "overloaded") => void;
}

export interface AckCollector {
  /** Each ack of this intent, also those that the queue group gives to another process. Those that come twice are taken once. */
  hearAll(intentId: string): Subscription;
  /** Takes no more of the group's, and resolves when those that the server has sent are taken. */
  drain(): Promise<void>;
}

export function collectAcks(deps: CollectDeps): AckCollector {
  const memory: Memory = { usual: new UsualAcks(), told: new ToldAnswers(), loading: 0 };
  const hear = (message: Incoming): void | Promise<void> => hearAck(deps, memory, message);
  const share = deps.backbone.subscribe(SUBJECTS.allAcks, hear, { queue: QUEUE_GROUP });
  return {
    hearAll: (intentId) => deps.backbone.subscribe(SUBJECTS.acksOf(intentId), hear),
    drain: () => share.drain(),
  };
}

/**
 * No await and no parsing while the intent is at hand: a thousand acks of one fan-out are one run of this.
 * A node that is not among its targets is refused by that, whatever its token.
 */
function hearAck(deps: CollectDeps, memory: Memory, message: Incoming): void | Promise<void> {
  const { subject } = message;
  const dot = subject.lastIndexOf(".");
  const node = subject.slice(ACK_PREFIX.length, dot);
  if (!deps.floods.letsIn(node)) return deps.onRefused?.("rate_limited");
  const intent = deps.book.peek(subject.slice(dot + 1));
  if (intent !== undefined) return takeAck(deps, memory, intent, node, message);
  const answer = parseAnswer(subject);
  if (answer === undefined) return refuse(deps, message, "ack_intent_unknown");
  return loadThenTake(deps, memory, answer, message);
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
  const nowMs = deps.clock.now();
  const index = intent.indexOf.get(node);
  if (index === undefined) return refuse(deps, message, "ack_not_target");
  const ended = nowMs > intent.deadlineMs + LIMITS.endGraceMs || deps.ended.has(intent.id);
  if (ended) return refuse(deps, message, "ack_after_end");
  const ack = memory.usual.read(intent, message.data) ?? readAck(message.data);
  if (ack.kind === "refused") return refuse(deps, message, ack.code);
  if (deps.responses.unrecorded > UNRECORDED_MAX) return refuse(deps, message, "overloaded");

  const heard: Heard = { intent, index, node, ack: ack.value, nowMs };
  const digest = ack.value.request_digest;
  if (digest !== intent.record.request_digest) return takeOtherRevision(deps, memory, heard, message);
  if (deps.verifier === undefined) tell(deps, memory, heard);
  else verifyThenTell(deps, deps.verifier, memory, heard, signedOf(message));
}

interface Heard {
  intent: LoadedIntent;
  index: number;
  node: string;
  ack: Ack;
  nowMs: number;
}

/** Of the message, as it was: what follows may come when its buffer is another's. */
interface Signed {
  subject: string;
  data: Uint8Array;
  jws: string | undefined;
}

const signedOf = ({ subject, data, headers }: Incoming): Signed => ({
  subject,
  data,
  jws: headers.last(SIGNATURE_HEADER),
});

/** An earlier one, or one that another process has recorded a moment ago. */
function takeOtherRevision(deps: CollectDeps, memory: Memory, heard: Heard, message: Incoming): void {
  const { intent, ack } = heard;
  if (intent.earlier.has(ack.request_digest)) return refuse(deps, message, "ack_superseded");
  if (memory.loading >= LOADING_MAX) return refuse(deps, message, "overloaded");
  const signed = { ...signedOf(message), data: message.data.slice() };
  memory.loading += 1;
  void refreshThenTake(deps, memory, heard, signed).finally(() => (memory.loading -= 1));
}

async function refreshThenTake(deps: CollectDeps, memory: Memory, heard: Heard, signed: Signed): Promise<void> {
  try {
    const { request_digest: digest } = heard.ack;
    const intent = (await deps.book.refreshSeldom(heard.intent.id)) ?? heard.intent;
    if (digest !== intent.record.request_digest)
      return refuse(deps, signed, intent.earlier.has(digest) ? "ack_superseded" : "ack_digest_mismatch");
    if (deps.verifier === undefined) tell(deps, memory, { ...heard, intent });
    else verifyThenTell(deps, deps.verifier, memory, { ...heard, intent }, signed);
  } catch (error) {
    deps.log.warn({ err: error, subject: signed.subject }, "an ack was not looked at; its node is asked again");
  }
}

/** Signed bytes are those of the ack's known members and no others: whoever reads NODE_RESPONDED can make them again. */
function verifyThenTell(deps: CollectDeps, verifier: AckVerifier, memory: Memory, heard: Heard, signed: Signed): void {
  const { intent, index, node, ack } = heard;
  const { subject, data, jws } = signed;
  if (jws === undefined && verifier.required) return refuse(deps, signed, "signature_missing");
  if (jws === undefined) return tell(deps, memory, heard);
  if (memory.told.has(intent, index, ack.status)) return;
  if (jws.length > LIMITS.ackSignatureCharsMax) return refuse(deps, signed, "signature_malformed");
  const bytes = canonicalize(buildAck(ack.request_digest, ack.attempt, ack.status, ack.reason));
  if (Buffer.compare(bytes, data) !== 0) return refuse(deps, signed, "json_not_canonical");
  const taken = verifier.take({ nodeId: node, bytes, jws }, (verdict) => {
    if (verdict.kind === "refused") refuse(deps, { subject }, verdict.code);
    else tell(deps, memory, heard, jws);
  });
  if (!taken) refuse(deps, signed, "overloaded");
}

function tell(deps: CollectDeps, memory: Memory, heard: Heard, signature?: string): void {
  const { intent, index, node, nowMs } = heard;
  const { status, reason, attempt } = heard.ack;
  if (!memory.told.add(intent, index, status)) return;
  const response: NodeAnswer = {
    node_id: node,
    kind: "ack",
    status,
    ...(reason === undefined ? {} : { reason }),
    attempt,
    ...(signature === undefined ? {} : { signature }),
    received_at: toRfc3339(nowMs),
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

  has(intent: LoadedIntent, index: number, status: Ack["status"]): boolean {
    return ((this.#told.get(intent)?.[index] ?? 0) & STATUS_BITS[status]) !== 0;
  }

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

function refuse(deps: CollectDeps, message: Pick<Incoming, "subject">, code: ErrorCode | "overloaded"): void {
  deps.onRefused?.(code);
  deps.log.debug({ subject: message.subject, code }, "an ack was refused");
}

// One event to one receiver: signed, sent, judged, written down. A failed one comes again later and lets the next ones pass;
// after the last attempt it is a dead letter. The place in the log is the consumer's; attempts are only for reading.

import { type Appender, type ConsumedMessage, RetryLater, type Stored } from "@outcry/backbone";
import type { DeadWebhookEvent } from "@outcry/delivery";
import type { WebhookTable } from "@outcry/jobs";
import {
  type Clock,
  digestOf,
  isTemporary,
  LIMITS,
  type Log,
  newId,
  PROTOCOL_VERSION,
  parseRfc3339,
  publicEvent,
  SUBJECTS,
  toRfc3339,
  TOPICS,
  type WebhookAttempt,
  type WebhookTested,
} from "@outcry/protocol";
import type { AccessBook, StoredWebhook } from "../access/access-book.js";
import { type PostDeps, type PostResult, postWebhook } from "./post-webhook.js";
import { webhookHeaders } from "./sign-webhook.js";
import { disableGone } from "./webhook-book.js";
import { type SecretBox, secretBytes } from "./webhook-secrets.js";

const JITTER = 0.2; // of each distance, up and down: receivers that failed together come back apart
const PAUSED_MS = 1_000; // until its runner has seen that it is paused
const GONE = 410;

export interface DeliverDeps {
  readonly book: AccessBook;
  readonly table: WebhookTable;
  readonly box: SecretBox;
  readonly post: PostDeps;
  readonly deadLetters: Appender;
  /** Distances between attempts; one more attempt than there are distances. */
  readonly scheduleMs: readonly number[];
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly onAttempt: (outcome: WebhookAttempt["outcome"]) => void;
}

/** Resolves when this webhook is done with the event; throws RetryLater when it shall come again. */
export async function deliverEvent(deps: DeliverDeps, webhookId: string, message: ConsumedMessage): Promise<void> {
  const { stored, deliveryCount: attempt } = message;
  const webhook = deps.book.webhooks.get(webhookId)?.value;
  if (webhook === undefined || !webhook.enabled) throw new RetryLater(PAUSED_MS);
  const event = publicEvent(stored.data);
  if (webhook.types.length > 0 && !webhook.types.includes(event.type)) return;

  const sent = await sendSigned(deps, webhook, event);
  const told = { event_id: event.id, event_type: event.type, attempt, ...sent.told };
  if (sent.delivered) return writeDown(deps, webhook, { ...told, outcome: "delivered" });
  if (sent.told.status === GONE) {
    await disableGone(deps.book, webhook.id, webhook.url);
    await writeDown(deps, webhook, { ...told, outcome: "disabled" });
    throw new RetryLater(PAUSED_MS);
  }
  const distanceMs = deps.scheduleMs[attempt - 1];
  if (distanceMs === undefined) {
    await setAsideOrLater(deps, webhook.id, stored, attempt, sent.told.error!);
    return writeDown(deps, webhook, { ...told, outcome: "dead" });
  }
  const delayMs = Math.round(distanceMs * (1 + JITTER * (2 * deps.random() - 1)));
  const next = toRfc3339(deps.clock.now() + delayMs);
  await writeDown(deps, webhook, { ...told, outcome: "retrying", next_attempt: next });
  throw new RetryLater(delayMs);
}

/** A signed event of no intent, now and once; returns what came back. */
export async function testWebhook(deps: DeliverDeps, webhook: StoredWebhook, traceId: string): Promise<WebhookTested> {
  const event = {
    id: newId("evt", deps.clock),
    type: "WEBHOOK_TEST",
    schema_version: 1,
    protocol_version: PROTOCOL_VERSION,
    time: toRfc3339(deps.clock.now()),
    topic: TOPICS.webhook(webhook.backend_id, webhook.id),
    trace_id: traceId,
    data: { webhook_id: webhook.id },
  };
  const { delivered, told, body } = await sendSigned(deps, webhook, event);
  const { time: _time, ...answer } = told;
  await writeDown(deps, webhook, { event_id: event.id, event_type: event.type, attempt: 1, outcome: "test", ...told });
  return { event_id: event.id, delivered, ...answer, ...(body === undefined ? {} : { body }) };
}

interface Sent {
  delivered: boolean;
  told: Pick<WebhookAttempt, "time" | "duration_ms" | "status" | "error">;
  body: string | undefined;
}

async function sendSigned(deps: DeliverDeps, webhook: StoredWebhook, event: { id: string }): Promise<Sent> {
  const nowMs = deps.clock.now();
  const startedAt = performance.now();
  const body = Buffer.from(JSON.stringify(event));
  const headers = webhookHeaders({ id: event.id, nowMs, body }, signingSecrets(deps, webhook, nowMs));
  const result = await postWebhook(deps.post, { url: webhook.url, headers, body });
  const error = faultOf(result);
  const told = {
    time: toRfc3339(nowMs),
    duration_ms: Math.round(performance.now() - startedAt),
    ...(result.kind === "answered" ? { status: result.status } : {}),
    ...(error === undefined ? {} : { error }),
  };
  return { delivered: error === undefined, told, body: result.kind === "answered" ? result.body : undefined };
}

function signingSecrets({ box }: DeliverDeps, webhook: StoredWebhook, nowMs: number): Buffer[] {
  return webhook.secrets
    .filter(({ until }) => until === undefined || parseRfc3339(until)! > nowMs)
    .map(({ sealed }) => secretBytes(box.open(webhook.id, sealed)));
}

function faultOf(result: PostResult): string | undefined {
  if (result.kind !== "answered") return result.error;
  if (result.status >= 200 && result.status < 300) return undefined;
  const redirect = result.status >= 300 && result.status < 400;
  return redirect ? `redirects are not followed (${result.status})` : `answered ${result.status}`;
}

/** A full or absent DEAD_LETTERS must not make a loop of attempts: the next delivery is one too many, and only sets aside. */
async function setAsideOrLater(...letter: Parameters<typeof setEventAside>): Promise<void> {
  try {
    await setEventAside(...letter);
  } catch (error) {
    throw isTemporary(error) ? new RetryLater(PAUSED_MS) : error;
  }
}

/** Into DEAD_LETTERS, once per webhook and event. */
export async function setEventAside(
  { deadLetters, clock }: Pick<DeliverDeps, "deadLetters" | "clock">,
  webhookId: string,
  stored: Pick<Stored, "stream" | "subject" | "seq" | "data">,
  attempts: number,
  cause: string,
): Promise<void> {
  const letter: DeadWebhookEvent = {
    kind: "webhook",
    cause,
    attempts,
    digest: digestOf(stored.data),
    time: toRfc3339(clock.now()),
    webhook_id: webhookId,
    source: { stream: stored.stream, sequence: stored.seq, subject: stored.subject },
    payload: Buffer.from(stored.data).toString("base64"),
  };
  const subject = SUBJECTS.deadWebhookEvent(webhookId, stored.seq);
  await deadLetters.append({ subject, data: Buffer.from(JSON.stringify(letter)), expectFirst: true });
}

/** A list that cannot be written holds up no delivery. */
async function writeDown(deps: DeliverDeps, { id }: StoredWebhook, attempt: WebhookAttempt): Promise<void> {
  deps.onAttempt(attempt.outcome);
  try {
    await deps.table.addAttempt(id, JSON.stringify(attempt), LIMITS.webhookAttemptsKept);
  } catch (error) {
    if (!isTemporary(error)) throw error;
    deps.log.warn({ webhook: id, event: attempt.event_id }, "an attempt was not written down: redis is away");
  }
}

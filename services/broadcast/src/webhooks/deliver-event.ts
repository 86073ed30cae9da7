// One event to one receiver: signed, sent, judged, written down. A failed one comes again later and lets the next ones pass;
// after the last attempt it is a dead letter. The place in the log is the consumer's; Redis counts the attempts that failed.

import { type Appender, type ConsumedMessage, RetryLater, type Stored } from "@outcry/backbone";
import type { DeadWebhookEvent } from "@outcry/delivery";
import type { EventFailures, WebhookTable } from "@outcry/jobs";
import {
  type Clock,
  digestOf,
  isTemporary,
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
import type { AttemptLog } from "./attempt-log.js";
import type { KeptConnections } from "./kept-connections.js";
import { type PostDeps, type PostResult, postWebhook } from "./post-webhook.js";
import { webhookHeaders } from "./sign-webhook.js";
import { disableWebhook } from "./webhook-book.js";
import { type SecretBox, secretBytes, signingAt } from "./webhook-secrets.js";

const JITTER = 0.2; // of each distance, up and down: receivers that failed together come back apart
const PAUSED_MS = 1_000; // until its runner has seen that it is paused
const GONE = 410;

export interface DeliverDeps {
  readonly book: AccessBook;
  readonly table: WebhookTable;
  readonly attempts: AttemptLog;
  readonly box: SecretBox;
  readonly post: PostDeps;
  readonly deadLetters: Appender;
  /** Distances between attempts; one more attempt than there are distances. */
  readonly scheduleMs: readonly number[];
  /** Of failures alone, then the webhook is disabled. */
  readonly disableAfterMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** What one webhook's events have in common in this process. */
export interface DeliverAt {
  readonly webhookId: string;
  readonly consumer: string;
  readonly connections: KeptConnections;
}

/** Resolves when this webhook is done with the event; throws RetryLater when it shall come again. */
export async function deliverEvent(deps: DeliverDeps, at: DeliverAt, message: ConsumedMessage): Promise<void> {
  const { stored } = message;
  const webhook = deps.book.webhooks.get(at.webhookId)?.value;
  if (webhook === undefined || !webhook.enabled) throw new RetryLater(PAUSED_MS);
  const event = readEvent(stored);
  // No attempt could make it readable, and the many deliveries that attempts may need would keep it for hours.
  if ("cause" in event) return giveUp(deps, at, stored, { count: message.deliveryCount, cause: event.cause });
  if (webhook.types.length > 0 && !webhook.types.includes(event.type)) return;

  const failed = message.isRedelivery ? await deps.table.failures(at.consumer, stored.seq) : undefined;
  const attempt = (failed?.count ?? 0) + 1;
  // DEAD_LETTERS was full or away when the last attempt had failed.
  if (attempt > deps.scheduleMs.length + 1) return giveUp(deps, at, stored, failed!);
  const sent = await sendSigned(deps, webhook, event, at.connections);
  const told = { event_id: event.id, event_type: event.type, attempt, ...sent.told };
  if (sent.delivered) {
    void deps.attempts.add(webhook.id, { ...told, outcome: "delivered" });
    return failed && forgetFailures(deps, at, stored.seq);
  }
  if (sent.told.status === GONE) return gone(deps, webhook, told);
  return failedAttempt(deps, at, webhook, stored, told);
}

function readEvent({ data }: Stored): ReturnType<typeof publicEvent> | { cause: string } {
  try {
    return publicEvent(data);
  } catch (error) {
    return { cause: String(error) };
  }
}

type Told = Omit<WebhookAttempt, "outcome" | "next_attempt">;

async function gone(deps: DeliverDeps, webhook: StoredWebhook, told: Told): Promise<never> {
  await disableWebhook(deps.book, webhook, "gone");
  await deps.attempts.add(webhook.id, { ...told, outcome: "disabled" });
  throw new RetryLater(PAUSED_MS);
}

async function failedAttempt(
  deps: DeliverDeps,
  at: DeliverAt,
  webhook: StoredWebhook,
  stored: Stored,
  told: Told,
): Promise<void> {
  const { scheduleMs, clock, random, attempts } = deps;
  const failures = { count: told.attempt, cause: told.error! };
  await setFailures(deps, at, stored.seq, failures);
  const distanceMs = scheduleMs[told.attempt - 1];
  if (distanceMs === undefined) {
    await giveUp(deps, at, stored, failures);
    return disableIfOverdue(deps, webhook, await attempts.add(webhook.id, { ...told, outcome: "dead" }));
  }
  const delayMs = Math.round(distanceMs * (1 + JITTER * (2 * random() - 1)));
  const next_attempt = toRfc3339(clock.now() + delayMs);
  await disableIfOverdue(deps, webhook, await attempts.add(webhook.id, { ...told, outcome: "retrying", next_attempt }));
  throw new RetryLater(delayMs);
}

/** It waits in the log for its owner, who may let it go on. */
async function disableIfOverdue(
  { book, clock, disableAfterMs, log }: DeliverDeps,
  webhook: StoredWebhook,
  failingSinceMs: number | undefined,
): Promise<void> {
  const sinceMs = countedSinceMs(webhook, failingSinceMs);
  if (sinceMs === undefined || clock.now() - sinceMs < disableAfterMs) return;
  log.warn(
    { webhook: webhook.id, since: toRfc3339(sinceMs) },
    "webhooks: disabled, since then there are only failures",
  );
  await disableWebhook(book, webhook, "failing");
}

/** Since when failures count: those from before its owner changed it do not. */
export function countedSinceMs(
  { failures_from }: StoredWebhook,
  failingSinceMs: number | undefined,
): number | undefined {
  if (failingSinceMs === undefined || failures_from === undefined) return failingSinceMs;
  return Math.max(failingSinceMs, parseRfc3339(failures_from)!);
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
  await deps.attempts.add(webhook.id, {
    event_id: event.id,
    event_type: event.type,
    attempt: 1,
    outcome: "test",
    ...told,
  });
  return { event_id: event.id, delivered, ...answer, ...(body === undefined ? {} : { body }) };
}

interface Sent {
  delivered: boolean;
  told: Pick<WebhookAttempt, "time" | "duration_ms" | "status" | "error">;
  body: string | undefined;
}

/** Without `connections` the address is asked for anew, and nothing is kept. */
async function sendSigned(
  deps: DeliverDeps,
  webhook: StoredWebhook,
  event: { id: string },
  connections?: KeptConnections,
): Promise<Sent> {
  const nowMs = deps.clock.now();
  const startedAt = performance.now();
  const body = Buffer.from(JSON.stringify(event));
  const headers = webhookHeaders({ id: event.id, nowMs, body }, signingSecrets(deps, webhook, nowMs));
  const result = await postWebhook(deps.post, { url: webhook.url, headers, body }, connections);
  const error = faultOf(result);
  const told = {
    time: toRfc3339(nowMs),
    duration_ms: Math.round(performance.now() - startedAt),
    ...(result.kind === "answered" ? { status: result.status } : {}),
    ...(error === undefined ? {} : { error }),
  };
  return { delivered: error === undefined, told, body: result.kind === "answered" ? result.body : undefined };
}

const signingSecrets = ({ box }: DeliverDeps, { id, secrets }: StoredWebhook, nowMs: number): Buffer[] =>
  signingAt(secrets, nowMs).map((sealed) => secretBytes(box.open(id, sealed)));

function faultOf(result: PostResult): string | undefined {
  if (result.kind !== "answered") return result.error;
  if (result.status >= 200 && result.status < 300) return undefined;
  const redirect = result.status >= 300 && result.status < 400;
  return redirect ? `redirects are not followed (${result.status})` : `answered ${result.status}`;
}

/** A full or absent DEAD_LETTERS must not make a loop of attempts: the next delivery is one too many, and only sets aside. */
async function giveUp(
  deps: DeliverDeps,
  at: DeliverAt,
  stored: Stored,
  { count, cause }: EventFailures,
): Promise<void> {
  try {
    await setEventAside(deps, at.webhookId, stored, count, cause);
  } catch (error) {
    throw isTemporary(error) ? new RetryLater(PAUSED_MS) : error;
  }
  await forgetFailures(deps, at, stored.seq);
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

/** Not counted while Redis is away: outages spend no attempt. */
const setFailures = (deps: DeliverDeps, { consumer }: DeliverAt, seq: number, failures: EventFailures): Promise<void> =>
  unlessAway(deps, deps.table.setFailures(consumer, seq, failures));

/** What stays behind during an outage ends by itself, as the log does. */
const forgetFailures = (deps: DeliverDeps, { consumer }: DeliverAt, seq: number): Promise<void> =>
  unlessAway(deps, deps.table.forgetFailures(consumer, seq));

async function unlessAway({ log }: DeliverDeps, write: Promise<void>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (!isTemporary(error)) throw error;
    log.warn({ error: String(error) }, "webhooks: an attempt was not counted: redis is away");
  }
}

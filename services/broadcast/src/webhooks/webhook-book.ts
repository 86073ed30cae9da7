// What a backend does with its webhooks: compare-and-set on KV `access`. "Not yours" and "not there" are one answer.

import { type Backbone, streamHead, seqAtTime, consumerPlace, deleteConsumer } from "@outcry/backbone";
import type { WebhookTable } from "@outcry/jobs";
import {
  LIMITS,
  newId,
  OutcryError,
  parseRfc3339,
  type RecoverAccepted,
  STREAMS,
  toRfc3339,
  type WebhookChange,
  type WebhookCreated,
  type WebhookRequest,
  type WebhookSecret,
  type WebhookView,
} from "@outcry/protocol";
import type { AccessBook, StoredWebhook } from "../access/access-book.js";
import { type ResolveHost, type TargetRules, checkTarget } from "./check-target.js";
import { type SecretBox, newWebhookSecret } from "./webhook-secrets.js";

const CHANGE_ATTEMPTS_MAX = 5;

export interface WebhookBookDeps {
  readonly backbone: Backbone;
  readonly book: AccessBook;
  readonly table: WebhookTable;
  readonly box: SecretBox;
  readonly rules: TargetRules;
  readonly resolve: ResolveHost;
}

/** Name of the consumer that holds a webhook's place in EVENTS. */
export const WEBHOOK_DURABLE = "webhook-";
export const durableOf = ({ id, generation }: Pick<StoredWebhook, "id" | "generation">): string =>
  `${WEBHOOK_DURABLE}${id}-${generation}`;

/** Hears events from now on. */
export async function createWebhook(
  deps: WebhookBookDeps,
  backendId: string,
  request: WebhookRequest,
): Promise<WebhookCreated> {
  const { book, box, backbone } = deps;
  requireRoom(book, backendId);
  await requireTarget(deps, request.url);
  const id = newId("whk", book.clock);
  const secret = newWebhookSecret();
  const now = toRfc3339(book.clock.now());
  const stored: StoredWebhook = {
    id,
    backend_id: backendId,
    url: request.url,
    types: request.types ?? [],
    ...(request.description === undefined ? {} : { description: request.description }),
    enabled: request.enabled ?? true,
    secrets: [{ sealed: box.seal(id, secret) }],
    start_seq: (await streamHead(backbone, STREAMS.events)).lastSeq + 1,
    generation: 1,
    created: now,
    updated: now,
  };
  await book.webhooks.create(id, stored);
  return { ...webhookView(stored), secret };
}

/** Oldest first. */
export function listWebhooks({ book }: WebhookBookDeps, backendId: string): WebhookView[] {
  return ofBackend(book, backendId)
    .map(webhookView)
    .sort((one, other) => (one.id < other.id ? -1 : 1));
}

export async function ownWebhook({ book }: WebhookBookDeps, backendId: string, id: string): Promise<StoredWebhook> {
  return requireOwn((await book.webhooks.find(id))?.value, backendId);
}

export async function changeWebhook(
  deps: WebhookBookDeps,
  backendId: string,
  id: string,
  change: WebhookChange,
): Promise<WebhookView> {
  const { book } = deps;
  await ownWebhook(deps, backendId, id);
  if (change.url !== undefined) await requireTarget(deps, change.url);
  const changed = await updateWebhook(book, id, (found) => {
    const { disabled_reason: reason, ...rest } = requireOwn(found, backendId);
    const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
    const next: StoredWebhook = { ...rest, ...pick(given), ...startsAnew(change, book.clock.now()) };
    return next.enabled || reason === undefined ? next : { ...next, disabled_reason: reason };
  });
  return webhookView(changed);
}

export async function removeWebhook(deps: WebhookBookDeps, backendId: string, id: string): Promise<void> {
  const { book, backbone, table } = deps;
  for (let attempt = 0; attempt < CHANGE_ATTEMPTS_MAX; attempt++) {
    const kept = await book.webhooks.read(id);
    const webhook = requireOwn(kept?.value, backendId);
    if ((await book.webhooks.delete(id, kept!.revision)).kind !== "written") continue;
    // Its runner, here or elsewhere, deletes it again when it has stopped.
    await deleteConsumer(backbone, STREAMS.events, durableOf(webhook));
    await table.forget(id);
    return;
  }
  throw busy();
}

/** The new secret signs at once, the one before it signs, too, for a day; one before that no longer. */
export async function rotateSecret(deps: WebhookBookDeps, backendId: string, id: string): Promise<WebhookSecret> {
  const { book, box } = deps;
  const secret = newWebhookSecret();
  const until = toRfc3339(book.clock.now() + LIMITS.webhookSecretOverlapMs);
  await updateWebhook(book, id, (found) => {
    const webhook = requireOwn(found, backendId);
    const [previous] = webhook.secrets;
    return { ...webhook, secrets: [{ sealed: box.seal(id, secret) }, { sealed: previous!.sealed, until }] };
  });
  return { id, secret, previous_until: until };
}

/** Everything from `since` on again, in order: a new consumer that begins there, or earlier where something is still undelivered. */
export async function recoverWebhook(
  deps: WebhookBookDeps,
  backendId: string,
  id: string,
  since: string,
): Promise<RecoverAccepted> {
  const { backbone, book } = deps;
  const webhook = await ownWebhook(deps, backendId, id);
  const sinceMs = parseRfc3339(since)!;
  const [sinceSeq, place, head] = await Promise.all([
    seqAtTime(backbone, STREAMS.events, sinceMs),
    consumerPlace(backbone, STREAMS.events, durableOf(webhook)),
    streamHead(backbone, STREAMS.events),
  ]);
  const startSeq = Math.max(1, Math.min(sinceSeq, place?.nextSeq ?? webhook.start_seq));
  await updateWebhook(book, id, (found) => {
    const now = requireOwn(found, backendId);
    return { ...now, start_seq: startSeq, generation: now.generation + 1 };
  });
  // Sequence 1 is still there: nothing was ever trimmed.
  return { id, since, complete: head.firstSeq <= 1 || sinceSeq > head.firstSeq };
}

/** `gone`: its receiver answered 410. `failing`: nothing but failures for LIMITS.webhookDisableMs. */
type DisabledReason = "gone" | "failing";

/** Unless its owner has changed it since it was read: attempts at another URL say nothing about this one. */
export async function disableWebhook(book: AccessBook, read: StoredWebhook, reason: DisabledReason): Promise<void> {
  await updateWebhook(book, read.id, (found) => {
    const isSame = found?.url === read.url && found.failures_from === read.failures_from;
    return isSame && found.enabled ? { ...found, enabled: false, disabled_reason: reason } : found;
  });
}

export function webhookView(stored: StoredWebhook): WebhookView {
  const { id, url, types, description, enabled, disabled_reason, missed_until, created, updated } = stored;
  return {
    id,
    url,
    types,
    ...(description === undefined ? {} : { description }),
    enabled,
    ...(disabled_reason === undefined ? {} : { disabled_reason }),
    ...(missed_until === undefined ? {} : { missed_until }),
    created,
    updated,
  };
}

/** Reads, decides, writes, unless what it read is to stay; again when another change came between. */
export async function updateWebhook(
  book: AccessBook,
  id: string,
  decide: (found: StoredWebhook | undefined) => StoredWebhook | undefined,
): Promise<StoredWebhook> {
  for (let attempt = 0; attempt < CHANGE_ATTEMPTS_MAX; attempt++) {
    const kept = await book.webhooks.read(id);
    const decided = decide(kept?.value);
    if (decided === undefined) throw new OutcryError("webhook_not_found");
    if (decided === kept?.value) return decided;
    const next = { ...decided, updated: toRfc3339(book.clock.now()) };
    if ((await book.webhooks.update(id, next, kept!.revision)).kind === "written") return next;
  }
  throw busy();
}

const busy = () => new OutcryError("dependency_unavailable", "The webhook is being changed by others without end.");

/** Failures at another URL, or from before it was disabled, do not count any more. */
const startsAnew = ({ url, enabled }: WebhookChange, nowMs: number): Pick<StoredWebhook, "failures_from"> =>
  url !== undefined || enabled === true ? { failures_from: toRfc3339(nowMs) } : {};

/** A body may hold more members than the schema names. */
const pick = ({ url, types, description, enabled }: WebhookChange): WebhookChange => ({
  ...(url === undefined ? {} : { url }),
  ...(types === undefined ? {} : { types }),
  ...(description === undefined ? {} : { description }),
  ...(enabled === undefined ? {} : { enabled }),
});

function requireOwn(found: StoredWebhook | undefined, backendId: string): StoredWebhook {
  if (found?.backend_id !== backendId) throw new OutcryError("webhook_not_found");
  return found;
}

const ofBackend = (book: AccessBook, backendId: string): StoredWebhook[] =>
  [...book.webhooks.all()].map(([, { value }]) => value).filter(({ backend_id }) => backend_id === backendId);

function requireRoom(book: AccessBook, backendId: string): void {
  const all = [...book.webhooks.all()].length;
  if (all >= LIMITS.webhooksMax) throw new OutcryError("webhook_limit", "This service takes no more webhooks.");
  if (ofBackend(book, backendId).length >= LIMITS.webhooksPerBackendMax)
    throw new OutcryError("webhook_limit", `A backend may have ${LIMITS.webhooksPerBackendMax}.`);
}

async function requireTarget({ rules, resolve }: WebhookBookDeps, url: string): Promise<void> {
  const target = await checkTarget(url, rules, resolve);
  if (target.kind === "ok") return;
  const { reason } = target;
  throw new OutcryError("webhook_url_refused", `The URL is refused: ${reason}.`, {
    pointers: [{ pointer: "/url", detail: reason }],
  });
}

// Events that leave the log before a webhook was given them: said on the webhook, never silently skipped. Asked before each trim.

import { type Backbone, consumerPlace, nextSeqOnLeader } from "@outcry/backbone";
import { type Log, STREAMS, toRfc3339, TOPICS } from "@outcry/protocol";
import type { AccessBook, StoredWebhook } from "../access/access-book.js";
import { durableOf, updateWebhook } from "./webhook-book.js";

export interface MarkMissedDeps {
  readonly backbone: Backbone;
  readonly book: AccessBook;
  readonly log: Log;
}

/** Everything below `seq` is about to go: what was stored before `beforeMs`. */
export async function markMissed(deps: MarkMissedDeps, seq: number, beforeMs: number): Promise<void> {
  const { book, backbone, log } = deps;
  for (const [id, { value }] of book.webhooks.all()) {
    if (!(await isBehind(backbone, value, seq))) continue;
    const until = toRfc3339(beforeMs);
    await updateWebhook(book, id, (found) => found && { ...found, missed_until: until });
    log.warn({ webhook: id, until }, "webhooks: events were removed before this one was given them");
  }
}

/** An event of its backend, not yet acknowledged, is among those that go. */
async function isBehind(backbone: Backbone, webhook: StoredWebhook, seq: number): Promise<boolean> {
  const place = await consumerPlace(backbone, STREAMS.events, durableOf(webhook));
  const nextSeq = Math.max(webhook.start_seq, place?.nextSeq ?? 1);
  if (nextSeq >= seq) return false;
  const filter = TOPICS.backend(webhook.backend_id);
  const found = await nextSeqOnLeader(backbone, STREAMS.events, { seq: nextSeq, filter });
  return found !== undefined && found < seq;
}

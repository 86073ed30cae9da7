// The webhooks of one process put together: routes' verbs, the sender, and the runner.

import type { Platform } from "@outcry/delivery";
import { createWebhookTable } from "@outcry/jobs";
import type { WebhookAttempt } from "@outcry/protocol";
import type { AccessBook } from "../access/access-book.js";
import type { WebhookRouteDeps } from "../http/routes/webhooks.js";
import { type ResolveHost, resolveAny, resolvePublic, type TargetRules } from "./check-target.js";
import { deliverEvent, type DeliverDeps, setEventAside, testWebhook } from "./deliver-event.js";
import { type RunningWebhooks, runWebhooks } from "./run-webhooks.js";
import { createSecretBox } from "./webhook-secrets.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** 20 hours in all: a night's outage of a receiver passes. */
const SCHEDULE_MS: readonly number[] = [5_000, 30_000, 2 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, 12 * HOUR];

export interface WebhookOptions {
  /** Encrypts secrets at rest; several separated by commas, the first one seals. */
  readonly key: string;
  readonly rules: TargetRules;
  readonly scheduleMs?: readonly number[];
  readonly timeoutMs?: number;
  readonly resolve?: ResolveHost;
  /** Trusted beside the system's authorities (PEM). */
  readonly ca?: string;
}

export interface Webhooks {
  readonly routes: WebhookRouteDeps;
  readonly runner: RunningWebhooks;
}

export function startWebhooks(
  platform: Platform,
  book: AccessBook,
  options: WebhookOptions,
  onAttempt: (outcome: WebhookAttempt["outcome"]) => void,
): Webhooks {
  const { backbone, redis, deadLetters, clock, log } = platform;
  const { rules, scheduleMs = SCHEDULE_MS, timeoutMs, ca } = options;
  const resolve = options.resolve ?? (rules.allowPrivate ? resolveAny : resolvePublic);
  const table = createWebhookTable(redis);
  const box = createSecretBox(options.key);
  const deps: DeliverDeps = {
    book,
    table,
    box,
    post: { rules, resolve, ...(timeoutMs === undefined ? {} : { timeoutMs }), ...(ca === undefined ? {} : { ca }) },
    deadLetters,
    scheduleMs,
    clock,
    random: Math.random,
    log,
    onAttempt,
  };
  const runner = runWebhooks({
    backbone,
    book,
    table,
    gate: () => platform.gate(),
    deliver: (webhookId, message) => deliverEvent(deps, webhookId, message),
    setAside: (webhookId, stored, deliveries, cause) =>
      setEventAside(deps, webhookId, stored, deliveries, cause instanceof Error ? cause.message : String(cause)),
    canSign: ({ secrets }) => secrets.every(({ sealed }) => box.opens(sealed)),
    attemptsMax: scheduleMs.length + 1,
    log,
  });
  return {
    runner,
    routes: {
      backbone,
      book,
      table,
      box,
      rules,
      resolve,
      test: (webhook, traceId) => testWebhook(deps, webhook, traceId),
    },
  };
}

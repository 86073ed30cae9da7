// The webhooks of one process put together: routes' verbs, the sender, and the runner.

import type { Platform } from "@outcry/delivery";
import { createLimiter, createWebhookTable, type Limiter } from "@outcry/jobs";
import { LIMITS, OutcryError, type WebhookAttempt } from "@outcry/protocol";
import type { AccessBook } from "../access/access-book.js";
import type { WebhookRouteDeps } from "../http/routes/webhooks.js";
import { AttemptLog } from "./attempt-log.js";
import { type ResolveHost, resolveAny, resolvePublic, type TargetRules } from "./check-target.js";
import { type DeliverDeps, setEventAside, testWebhook } from "./deliver-event.js";
import { runWebhooks } from "./run-webhooks.js";
import { openLine } from "./webhook-line.js";
import { canSign, createSecretBox } from "./webhook-secrets.js";

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
  /** Of failures alone, then it is disabled. */
  readonly disableAfterMs?: number;
  readonly resolve?: ResolveHost;
  /** Trusted beside the system's authorities (PEM). */
  readonly ca?: string;
}

export interface Webhooks {
  readonly routes: WebhookRouteDeps;
  /** Webhooks that this process runs now. */
  readonly running: readonly string[];
  stop(): Promise<void>;
}

export function startWebhooks(
  platform: Platform,
  book: AccessBook,
  options: WebhookOptions,
  onAttempt: (outcome: WebhookAttempt["outcome"]) => void,
): Webhooks {
  const { backbone, redis, deadLetters, clock, log } = platform;
  const { rules, scheduleMs = SCHEDULE_MS, timeoutMs, disableAfterMs = LIMITS.webhookDisableMs, ca } = options;
  const resolve = options.resolve ?? (rules.allowPrivate ? resolveAny : resolvePublic);
  const table = createWebhookTable(redis);
  const box = createSecretBox(options.key);
  const attempts = new AttemptLog({ table, clock, log, onAttempt });
  const deps: DeliverDeps = {
    book,
    table,
    attempts,
    box,
    post: {
      rules,
      resolve,
      clock,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(ca === undefined ? {} : { ca }),
    },
    deadLetters,
    scheduleMs,
    disableAfterMs,
    clock,
    random: Math.random,
    log,
  };
  const tests = createLimiter({
    name: "webhook",
    policies: [{ name: "tests", quota: LIMITS.webhookTestsPerMinute, windowMs: MINUTE }],
    store: redis,
    clock,
    log,
  });
  const runner = runWebhooks({
    backbone,
    book,
    table,
    gate: () => platform.gate(),
    open: (webhookId, consumer) => openLine(deps, webhookId, consumer),
    setAside: (webhookId, stored, deliveries, cause) =>
      setEventAside(deps, webhookId, stored, deliveries, cause instanceof Error ? cause.message : String(cause)),
    canSign: ({ secrets }) => canSign(box, secrets, clock.now()),
    attemptsMax: scheduleMs.length + 1,
    log,
  });
  return {
    get running() {
      return runner.running;
    },
    async stop() {
      await runner.stop();
      await Promise.all([attempts.drain(), tests.stop()]);
    },
    routes: {
      backbone,
      book,
      table,
      box,
      rules,
      resolve,
      async test(webhook, traceId) {
        chargeTest(tests, webhook.backend_id);
        return testWebhook(deps, webhook, traceId);
      },
    },
  };
}

/** Beside the caller's own limits: each test is a request of ours to somebody, there and then. */
function chargeTest(tests: Limiter, backendId: string): void {
  const charge = tests.charge(backendId, { tests: 1 });
  if (charge.kind === "charged") return;
  const { policy, left, retryAfterMs } = charge;
  throw new OutcryError("rate_limited", `${left} of ${policy.quota} ${policy.name} per minute are left.`, {
    retryAfterMs,
  });
}

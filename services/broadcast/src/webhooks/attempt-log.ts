// Attempts on their way into Redis, where they are read: one write at a time, and what comes meanwhile goes with the next one. A list
// that cannot be written holds up no delivery.

import type { AttemptBatch, WebhookTable } from "@outcry/jobs";
import { type Clock, isTemporary, LIMITS, type Log, type WebhookAttempt } from "@outcry/protocol";

export interface AttemptLogDeps {
  readonly table: Pick<WebhookTable, "addAttempts">;
  readonly clock: Clock;
  readonly log: Log;
  readonly onAttempt: (outcome: WebhookAttempt["outcome"]) => void;
}

interface Batch {
  readonly attempts: string[];
  verdict: AttemptBatch["verdict"];
  readonly told: ((failingSinceMs: number | undefined) => void)[];
}

const VERDICTS: Record<WebhookAttempt["outcome"], AttemptBatch["verdict"]> = {
  delivered: "delivered",
  retrying: "failed",
  dead: "failed",
  disabled: "failed",
  test: "none",
};

export class AttemptLog {
  readonly #deps: AttemptLogDeps;
  #next = new Map<string, Batch>();
  #writing: Promise<void> | undefined;

  constructor(deps: AttemptLogDeps) {
    this.#deps = deps;
  }

  /** Resolves when it is written, or could not be: since when there were failures alone, if that is known. */
  add(webhookId: string, attempt: WebhookAttempt): Promise<number | undefined> {
    this.#deps.onAttempt(attempt.outcome);
    const batch = this.#next.get(webhookId) ?? { attempts: [], verdict: "none", told: [] };
    this.#next.set(webhookId, batch);
    batch.attempts.push(JSON.stringify(attempt));
    if (batch.attempts.length > LIMITS.webhookAttemptsKept) batch.attempts.shift();
    const verdict = VERDICTS[attempt.outcome];
    if (verdict === "delivered" || batch.verdict === "none") batch.verdict = verdict;
    this.#writing ??= this.#write();
    return new Promise((resolve) => batch.told.push(resolve));
  }

  /** Resolves when everything added so far is written, or could not be. */
  async drain(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#next.size > 0) {
      const batches = [...this.#next];
      this.#next = new Map();
      const since = await this.#writeDown(batches);
      for (const [index, [, { told }]] of batches.entries()) for (const tell of told) tell(since[index]);
    }
    this.#writing = undefined;
  }

  async #writeDown(batches: readonly (readonly [string, Batch])[]): Promise<(number | undefined)[]> {
    const { table, clock, log } = this.#deps;
    const options = { keep: LIMITS.webhookAttemptsKept, nowMs: clock.now(), silenceMs: LIMITS.webhookSilenceMs };
    const written = batches.map(([webhookId, { attempts, verdict }]) => ({ webhookId, attempts, verdict }));
    try {
      return await table.addAttempts(written, options);
    } catch (error) {
      const level = isTemporary(error) ? "warn" : "error";
      log[level]({ webhooks: written.length, error: String(error) }, "webhooks: attempts were not written down");
      return [];
    }
  }
}

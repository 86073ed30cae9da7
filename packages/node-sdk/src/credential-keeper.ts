// Keeps the node's credentials fresh: renews at three quarters of their life, and goes on trying past their end.

import { type Clock, isTemporary, type Log, type NodeCredentials, parseRfc3339 } from "@outcry/protocol";
import { Alarm } from "./alarm.js";
import { fullJitterMs } from "./backoff.js";
import { NODE_LIMITS } from "./limits.js";

export interface KeeperDeps {
  readonly fetchCredentials: (signal: AbortSignal) => Promise<NodeCredentials>;
  readonly onRenewed: (credentials: NodeCredentials) => void;
  readonly onFailure: (error: unknown) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

export class CredentialKeeper {
  readonly #deps: KeeperDeps;
  readonly #alarm = new Alarm();
  readonly #stop = new AbortController();
  #current: NodeCredentials;
  #due = false;
  #failures = 0;
  #lastAskedMs = Number.NEGATIVE_INFINITY;

  constructor(deps: KeeperDeps, first: NodeCredentials) {
    this.#deps = deps;
    this.#current = first;
    void this.#run();
  }

  get current(): NodeCredentials {
    return this.#current;
  }

  /** The server refused them: ask now instead of at the planned time. A node that may not have any keeps its backoff. */
  renewSoon(): void {
    if (this.#failures > 0 || this.#deps.clock.now() - this.#lastAskedMs < NODE_LIMITS.renewOnRefusalEveryMs) return;
    this.#due = true;
    this.#alarm.wake();
  }

  stop(): void {
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      if (!this.#due)
        await this.#alarm.sleep(this.#failures === 0 ? this.#planMs() : this.#retryMs(this.#failures), signal);
      if (signal.aborted) return;
      this.#due = false;
      this.#failures = (await this.#renew(signal)) ? 0 : this.#failures + 1;
    }
  }

  async #renew(signal: AbortSignal): Promise<boolean> {
    const { clock, log, fetchCredentials, onRenewed, onFailure } = this.#deps;
    this.#lastAskedMs = clock.now();
    try {
      this.#current = await fetchCredentials(signal);
      log.info({ expires: this.#current.expires }, "node: credentials renewed");
      onRenewed(this.#current);
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      log.warn({ error: String(error), temporary: isTemporary(error) }, "node: credentials were not renewed");
      onFailure(error);
      return false;
    }
  }

  #planMs(): number {
    const { clock, random } = this.#deps;
    const lifeMs = (parseRfc3339(this.#current.expires) ?? 0) - clock.now();
    const share = NODE_LIMITS.renewAtLifeShare + (random() - 0.5) * 2 * NODE_LIMITS.renewJitterShare;
    return Math.max(NODE_LIMITS.renewWaitMinMs, lifeMs * share);
  }

  #retryMs(failures: number): number {
    const backoff = { baseMs: NODE_LIMITS.renewRetryBaseMs, capMs: NODE_LIMITS.renewRetryCapMs };
    return Math.max(NODE_LIMITS.renewWaitMinMs, fullJitterMs(failures, backoff, this.#deps.random));
  }
}

// The keys that sign intents. A kid that is not among them makes the key set be read once more: the service may have rotated.

import { check, type Clock, type Log, PublicKey } from "@outcry/protocol";
import { checkPublicJwk, type KeySource, type VerificationKey } from "@outcry/signing";
import { NODE_LIMITS } from "./limits.js";

export interface ServiceKeysDeps {
  readonly serviceId: string;
  /** Reads the published key set; absent when there is no HTTP. */
  readonly fetchKeySet?: (() => Promise<unknown>) | undefined;
  readonly clock: Clock;
  readonly random?: () => number;
  readonly log: Log;
}

export class ServiceKeys implements KeySource {
  readonly #deps: ServiceKeysDeps;
  #byKid: Map<string, VerificationKey>;
  #refetching: Promise<void> | undefined;
  #refetchedMs = Number.NEGATIVE_INFINITY;
  /** The service said that its keys changed, and no reading has begun since. */
  #stale = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(keys: readonly PublicKey[], deps: ServiceKeysDeps) {
    this.#deps = deps;
    this.#byKid = verificationKeys(keys, deps);
  }

  find(kid: string): VerificationKey | undefined {
    return this.#byKid.get(kid);
  }

  replace(keys: readonly PublicKey[]): void {
    this.#byKid = verificationKeys(keys, this.#deps);
  }

  /** Resolves in every case: the caller looks again. */
  refetch(): Promise<void> {
    const { fetchKeySet, clock } = this.#deps;
    const early = clock.now() - this.#refetchedMs < NODE_LIMITS.keyRefetchEveryMs;
    if (fetchKeySet === undefined || (!this.#stale && (early || this.#refetching !== undefined))) {
      return this.#refetching ?? Promise.resolve();
    }
    this.#stale = false;
    this.#refetchedMs = clock.now();
    // Behind one that is under way: that one may still bring the old set.
    const reading = (this.#refetching ?? Promise.resolve()).then(() => this.#readKeySet(fetchKeySet));
    const whole = reading.finally(() => {
      if (this.#refetching === whole) this.#refetching = undefined;
    });
    this.#refetching = whole;
    return whole;
  }

  /** Reads them again within a second: every node hears of it at once. */
  changed(withinMs: number = NODE_LIMITS.keyHintSpreadMs): void {
    this.#stale = true;
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        if (this.#stale) void this.refetch();
      },
      (this.#deps.random ?? Math.random)() * withinMs,
    ).unref();
  }

  async #readKeySet(fetchKeySet: () => Promise<unknown>): Promise<void> {
    try {
      const set = (await fetchKeySet()) as { keys?: unknown } | undefined;
      const keys = Array.isArray(set?.keys)
        ? set.keys.filter((key): key is PublicKey => check(PublicKey, key).kind === "ok")
        : [];
      if (keys.length > 0) this.replace(keys);
    } catch (error) {
      this.#deps.log.warn({ error: String(error) }, "node: the service's key set was not read");
      this.changed(NODE_LIMITS.keyRefetchEveryMs); // a revoked key must not stay for long
    }
  }
}

function verificationKeys(
  keys: readonly PublicKey[],
  { serviceId, log }: ServiceKeysDeps,
): Map<string, VerificationKey> {
  const byKid = new Map<string, VerificationKey>();
  for (const key of keys) {
    const checked = checkPublicJwk(key);
    if (checked.kind === "ok")
      byKid.set(key.kid, { kid: key.kid, owner: serviceId, alg: checked.alg, publicKey: checked.publicKey });
    else log.warn({ kid: key.kid, detail: checked.detail }, "node: a key of the service is not acceptable");
  }
  return byKid;
}

// The keys that sign intents. A kid that is not among them makes the key set be read once more: the service may have rotated.

import { check, type Clock, type Log, PublicKey } from "@outcry/protocol";
import { checkPublicJwk, type KeySource, type VerificationKey } from "@outcry/signing";
import { NODE_LIMITS } from "./limits.js";

export interface ServiceKeysDeps {
  readonly serviceId: string;
  /** Reads the published key set; absent when there is no HTTP. */
  readonly fetchKeySet?: (() => Promise<unknown>) | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

export class ServiceKeys implements KeySource {
  readonly #deps: ServiceKeysDeps;
  #byKid: Map<string, VerificationKey>;
  #refetching: Promise<void> | undefined;
  #refetchedMs = Number.NEGATIVE_INFINITY;

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
    if (fetchKeySet === undefined || clock.now() - this.#refetchedMs < NODE_LIMITS.keyRefetchEveryMs) {
      return this.#refetching ?? Promise.resolve();
    }
    this.#refetchedMs = clock.now();
    this.#refetching = this.#readKeySet(fetchKeySet).finally(() => {
      this.#refetching = undefined;
    });
    return this.#refetching;
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

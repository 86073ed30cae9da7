// A new signing key for a running node (ADR-9): write it down, register it, switch, and retire the old one when no intent uses it any more.
// Crash-safe by order: whatever was cut off, the files name a key that is registered. Repeating goes on where it was.

import { type Clock, isOutcryError, isTemporary, type Log, OutcryError } from "@outcry/protocol";
import { Alarm } from "./alarm.js";
import { fullJitterMs } from "./backoff.js";
import { addKey } from "./credentials.js";
import type { Identity } from "./identity.js";
import { NODE_LIMITS } from "./limits.js";
import type { ServiceApi } from "./service-api.js";

export interface RotateDeps {
  readonly api: ServiceApi;
  readonly nodeId: string;
  /** Its key is exchanged. */
  readonly identity: Identity;
  /** The node's current token, for retiring. */
  readonly token: () => string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly onTrouble: (error: unknown) => void;
}

/** Resolves when the new key signs, with the one it replaced. Throws, and may be repeated, when the service does not take it. */
export async function switchKey(deps: RotateDeps, signal: AbortSignal): Promise<{ kid: string; replaced: string }> {
  const { identity, api, nodeId, clock, log } = deps;
  const { keyFiles: files, key: old } = identity;
  if (files === undefined)
    throw new OutcryError("config_invalid", "rotateKey needs stateDir or keyFile: the new key must be kept somewhere");
  const next = files.next();
  await addKey({ api, nodeId, key: old, clock }, next, signal);
  files.takeNext(old.kid);
  identity.key = next;
  log.info({ kid: next.kid }, "node: signing with a new key");
  return { kid: next.kid, replaced: old.kid };
}

/** What earlier runs of this node replaced and did not come to retire. */
export const leftToRetire = ({ identity }: RotateDeps): string[] =>
  (identity.keyFiles?.replaced() ?? []).filter((kid) => kid !== identity.key.kid);

/** Tries for ever while the fault is temporary; what is left is retired at the next start. */
export async function retireKey(deps: RotateDeps, kid: string, signal: AbortSignal): Promise<void> {
  const backoff = { baseMs: NODE_LIMITS.renewRetryBaseMs, capMs: NODE_LIMITS.renewRetryCapMs };
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      return await retireNow(deps, kid, signal);
    } catch (error) {
      if (signal.aborted) return;
      deps.onTrouble(error);
      if (!isTemporary(error)) return;
      await new Alarm().sleep(NODE_LIMITS.renewWaitMinMs + fullJitterMs(attempt, backoff, deps.random), signal);
    }
  }
}

async function retireNow({ api, nodeId, identity, token, log }: RotateDeps, kid: string, signal: AbortSignal) {
  try {
    await api.delete(`/v1/nodes/${nodeId}/keys/${encodeURIComponent(kid)}`, token(), signal);
  } catch (error) {
    if (!isOutcryError(error, "node_key_not_found")) throw error;
  }
  identity.keyFiles?.retired(kid);
  log.info({ kid }, "node: the old key is retired");
}

// A token → who it stands for, whatever carried it. Never rejects: what cannot be checked now is a temporary refusal.

import type { Log } from "@outcry/protocol";
import type { Authenticated, Policy } from "../channels/policy.js";
import type { GatewayLimits } from "../limits.js";

export interface IdentifyDeps {
  readonly policy: Policy;
  readonly limits: GatewayLimits;
  readonly log: Log;
}

export async function identify(
  { policy, limits, log }: IdentifyDeps,
  token: string | undefined,
): Promise<Authenticated> {
  if (token === undefined) return { kind: "refused", code: "credentials_missing" };
  if (token.length > limits.tokenCharsMax) return { kind: "refused", code: "credentials_invalid" };
  try {
    return await policy.authenticate(token);
  } catch (error) {
    log.warn({ error: String(error) }, "gateway: a token could not be checked");
    return { kind: "refused", code: "dependency_unavailable" };
  }
}

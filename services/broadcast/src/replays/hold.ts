// What a slice of a replay hands to each of its steps, and what each letter came to.

import type { TimerClaim } from "@outcry/jobs";
import { OutcryError, type SkipReason } from "@outcry/protocol";

export type LetterOutcome = "sent" | "handled" | "failed" | { skipped: SkipReason };

export interface Hold {
  claim: TimerClaim;
  /** Aborts when the service stops. */
  signal: AbortSignal;
}

/** A process that stood still for longer than its lease must not go on: another one has taken over. */
export function stillHeld({ claim }: Hold, nowMs: number): void {
  if (nowMs >= claim.leaseUntilMs) throw new OutcryError("timed_out", `${claim.member} was taken over`);
}

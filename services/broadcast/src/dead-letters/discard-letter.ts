// Discards a dead letter with a reason: one message behind it, first on its subject. The letter itself stays until it ages out.

import type { Appender, Backbone } from "@outcry/backbone";
import { encodeFollowUp } from "@outcry/delivery";
import { type Clock, type Discard, SUBJECTS, toRfc3339 } from "@outcry/protocol";
import type { FoundLetter } from "./find-letters.js";
import { findLetter } from "./view-letter.js";

export interface DiscardDeps {
  backbone: Backbone;
  deadLetters: Appender;
  clock: Clock;
}

/** Repeated, it changes nothing: the first reason stands. */
export async function discardLetter(
  deps: DiscardDeps,
  id: string,
  { by, reason }: Pick<Discard, "by" | "reason">,
): Promise<FoundLetter> {
  const letter = await findLetter(deps.backbone, id);
  if (letter.fate.discarded !== undefined) return letter;
  await deps.deadLetters.append({
    subject: SUBJECTS.letterFollowUp(id, "discarded"),
    data: encodeFollowUp({ by, reason, time: toRfc3339(deps.clock.now()) }),
    expectFirst: true,
  });
  return findLetter(deps.backbone, id);
}

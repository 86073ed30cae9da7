// Dead letters counted by what they have in common. `version` is the protocol version in which the dead message was written: of
// a node that never answered nothing else is known, and the registry holds no version of its SDK.

import type { Backbone } from "@outcry/backbone";
import { type GroupKey, type LetterFilter, type LetterGroup, LIMITS } from "@outcry/protocol";
import { type FoundLetter, newestLetters } from "./find-letters.js";
import { UNKNOWN_VERSION } from "./view-letter.js";

export interface GroupedLetters {
  groups: LetterGroup[];
  scanned: number;
  nextBefore: number | undefined;
}

export async function groupLetters(
  backbone: Backbone,
  by: GroupKey,
  filter: LetterFilter,
  before: number | undefined,
): Promise<GroupedLetters> {
  const page = await newestLetters(backbone, { filter, limit: LIMITS.deadLettersScannedMax, before });
  return { groups: grouped(page.found, by), scanned: page.scanned, nextBefore: page.nextBefore };
}

/** Newest first in; largest group first out. */
export function grouped(letters: readonly FoundLetter[], by: GroupKey): LetterGroup[] {
  const groups = new Map<string, LetterGroup>();
  for (const { id, content } of letters) {
    const key = keyOf(content, by);
    const { time } = content;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { key, count: 1, first: time, last: time, sample_id: id });
    else {
      group.count += 1;
      if (time < group.first) group.first = time;
      if (time > group.last) group.last = time;
    }
  }
  return [...groups.values()].toSorted((one, other) => other.count - one.count);
}

function keyOf(content: FoundLetter["content"], by: GroupKey): string {
  if (by === "cause") return content.cause;
  if (by === "version") return content.version ?? UNKNOWN_VERSION;
  if (content.kind === "webhook") return `webhook ${content.webhook_id}`;
  return content.kind === "delivery" ? content.node_id : `consumer of ${content.source.stream}`;
}

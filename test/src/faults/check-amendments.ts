// The checker's rules about amendments: each that was accepted is recorded once, they have one order, and the end follows the newest.

import { type EventData, revisionOf } from "@outcry/protocol";
import type { Count, History, Index, IntentEntry, Say } from "./history.js";

export function checkAmendments({ posts }: History, index: Index, say: Say, add: Count): void {
  for (const { accepted, amendments } of posts) {
    const intent = accepted && index.intents.get(accepted.id);
    if (intent === undefined) continue;
    for (const { key, answer, replay } of amendments) {
      if (answer === undefined) {
        add("amendments too late");
        continue;
      }
      add("amendments");
      if (intent.digests[answer.revision] !== answer.request_digest) say("amendment_lost", `${intent.id} ${key}`);
      if (JSON.stringify(replay) !== JSON.stringify(answer)) say("amendment_replay_differs", `${intent.id} ${key}`);
    }
    const keys = new Set(intent.revisions.map(({ value }) => value.key_digest));
    if (keys.size !== intent.revisions.length) say("amendment_doubled", intent.id);
  }
  for (const intent of index.intents.values()) checkOrder(intent, index, say);
}

function checkOrder({ id, digests, revisions, events }: IntentEntry, index: Index, say: Say): void {
  for (const [at, { value }] of revisions.entries())
    if (value.revision !== at + 1 || value.supersedes !== digests[at]) say("revision_gap", `${id}: ${value.revision}`);
  const told = events.flatMap(({ value }) =>
    value.type === "INTENT_AMENDED" ? [(value.data as EventData<"INTENT_AMENDED">).revision] : [],
  );
  if (told.join(" ") !== revisions.map(({ value }) => value.revision).join(" "))
    say("amended_untold", `${id}: told ${told.join(" ") || "none"} of ${revisions.length}`);
  const [end] = index.ends.get(id) ?? [];
  if (end === undefined) return;
  if (revisionOf(end.value) !== revisions.length) say("end_of_other_revision", `${id}: ${revisionOf(end.value)}`);
  if (revisions.some(({ seq }) => seq > end.seq)) say("revision_behind_end", id);
}

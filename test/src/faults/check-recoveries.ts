// The checker's rule about dead deliveries that came back: DELIVERY_RECOVERED once for each that answered before the end, for no other.

import { unpackDeliveries } from "@outcry/delivery";
import { type EventData, revisionOf } from "@outcry/protocol";
import type { Count, IntentEntry, Say } from "./history.js";
import type { RecordCopy } from "./record.js";

const ANSWER_RACE_MS = 1_000; // an answer told so shortly before the end may go either way

interface Trail {
  answered: boolean;
  dead: boolean;
  /** When it answered although it was dead. */
  backMs?: number;
  told: number;
}

export function checkRecoveries(
  { id, targets, events }: IntentEntry,
  end: RecordCopy["ends"][number],
  say: Say,
  add: Count,
): void {
  const trails = new Map<string, Trail>(targets.map((node) => [node, { answered: false, dead: false, told: 0 }]));
  let amendedMs = 0;
  let revision = 0;
  for (const { value, timeMs } of events) {
    if (value.type === "INTENT_AMENDED") {
      [amendedMs, { revision }] = [timeMs, value.data as EventData<"INTENT_AMENDED">];
      for (const trail of trails.values()) trail.answered = false; // what it answered stands no more
    }
    if (value.type === "NODE_RESPONDED" && revisionOf(value.data as { revision?: number }) < revision) continue;
    for (const node of nodesOf(value)) {
      const trail = trails.get(node);
      if (trail === undefined) continue;
      if (value.type === "DELIVERY_DEAD_LETTERED") trail.dead ||= !trail.answered;
      if (value.type === "DELIVERY_RECOVERED") trail.told += 1;
      if (value.type !== "NODE_RESPONDED") continue;
      trail.answered = true;
      if (trail.dead) trail.backMs ??= timeMs;
    }
  }
  for (const [at, { state }] of unpackDeliveries(end.value.deliveries).entries()) {
    const node = targets[at]!;
    const { dead, backMs, told } = trails.get(node) ?? { dead: false, backMs: undefined, told: 0 };
    const where = `${id} ${node}: ${state}, told ${told} times`;
    const alive = state !== "dead" || (backMs ?? Infinity) <= amendedMs; // it may have died again, of a later revision
    const back = dead && alive && (backMs !== undefined || state === "quoted");
    const inTime = state === "quoted" || (backMs ?? Infinity) < end.timeMs - ANSWER_RACE_MS;
    if (told > 0) add("deliveries recovered");
    if (told > 1) say("recovery_doubled", where);
    if (told > 0 && !back) say("recovery_of_none", where);
    if (told === 0 && back && inTime && state !== "dead") say("recovery_lost", where);
  }
}

function nodesOf({ type, data }: IntentEntry["events"][number]["value"]): readonly string[] {
  if (type === "NODE_RESPONDED") return (data as EventData<"NODE_RESPONDED">).responses.map(({ node_id }) => node_id);
  if (type !== "DELIVERY_DEAD_LETTERED" && type !== "DELIVERY_RECOVERED") return [];
  return (data as EventData<"DELIVERY_RECOVERED">).node_ids;
}

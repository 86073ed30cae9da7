// Which deliveries were dead and have answered since, from the log alone: pure, over the events of one intent in order.

import { type Event, type EventData, revisionOf } from "@outcry/protocol";

export interface Recovered {
  nodeId: string;
  by: "ack" | "quote";
  /** Made until it answered, a replay's included. */
  attempts: number;
  /** The last replay that sent to it before. */
  replayId?: string;
  /** Its DELIVERY_RECOVERED is on the topic. */
  told: boolean;
}

interface Trail {
  attempts: number;
  answered: boolean;
  dead: boolean;
  by?: "ack" | "quote";
  replayId?: string;
  told: boolean;
}

/**
 * Of these nodes, those that the log calls dead and that answered afterwards. The caller names whom the row, or the end, knows to be
 * dead no more: an answer that came behind the end is in the log and changed nothing. `quoted`: of whom a stored quote counts
 * although its judge has not told it yet.
 */
export function recoveriesOf(
  events: readonly Event[],
  nodes: ReadonlySet<string>,
  quoted: ReadonlySet<string> = new Set(),
): Recovered[] {
  const trails = new Map<string, Trail>();
  const trail = (node: string): Trail => {
    let found = trails.get(node);
    if (found === undefined) trails.set(node, (found = { attempts: 1, answered: false, dead: false, told: false }));
    return found;
  };
  const each = (ids: readonly string[], change: (of: Trail) => void): void => {
    for (const id of ids) if (nodes.has(id)) change(trail(id));
  };
  let revision = 0;
  for (const event of events) {
    if (event.type === "INTENT_AMENDED") {
      ({ revision } = event.data as EventData<"INTENT_AMENDED">);
      for (const one of trails.values()) one.answered = false; // what it answered stands no more
    } else if (event.type !== "NODE_RESPONDED" || revisionOf(event.data as { revision?: number }) >= revision) {
      follow(event, each);
    }
  }
  return [...trails].flatMap(([nodeId, { dead, by = quoted.has(nodeId) ? "quote" : undefined, ...trailed }]) => {
    if (!dead || by === undefined) return [];
    const { attempts, replayId, told } = trailed;
    return [{ nodeId, by, attempts, told, ...(replayId === undefined ? {} : { replayId }) }];
  });
}

function follow(event: Event, each: (ids: readonly string[], change: (of: Trail) => void) => void): void {
  switch (event.type) {
    case "DELIVERY_RETRYING":
    case "DELIVERY_REPLAYED": {
      const { node_ids, attempt, replay_id } = event.data as EventData<"DELIVERY_RETRYING"> &
        Partial<EventData<"DELIVERY_REPLAYED">>;
      return each(node_ids, (of) => {
        if (of.by !== undefined) return;
        of.attempts = Math.max(of.attempts, attempt);
        if (replay_id !== undefined) of.replayId = replay_id;
      });
    }
    case "DELIVERY_DEAD_LETTERED":
      return each((event.data as EventData<"DELIVERY_DEAD_LETTERED">).node_ids, (of) => {
        of.dead ||= !of.answered;
      });
    case "NODE_RESPONDED":
      for (const { node_id, kind } of (event.data as EventData<"NODE_RESPONDED">).responses) {
        each([node_id], (of) => {
          of.answered = true;
          if (of.dead) of.by ??= kind;
        });
      }
      return;
    case "DELIVERY_RECOVERED":
      return each((event.data as EventData<"DELIVERY_RECOVERED">).node_ids, (of) => {
        of.told = true;
      });
    default:
  }
}

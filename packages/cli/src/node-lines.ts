// An event as lines about nodes: who acknowledged, declined, quoted, was asked again or given up.

import type { KnownEvent } from "@outcry/protocol";
import { money, printable } from "./print.js";

const NODE_WIDTH = 30;

/** One line per node that the event is about; the end of an intent is one line of its own. */
export function nodeLines(event: KnownEvent): string[] {
  switch (event.type) {
    case "NODE_RESPONDED":
      return event.data.responses.map(({ node_id, status, reason, attempt = 1, received_at }) =>
        line(node_id, status, [
          ...(attempt > 1 ? [`attempt ${attempt}`] : []),
          ...(reason === undefined ? [] : [reason]),
          received_at,
        ]),
      );
    case "QUOTE_RECEIVED":
      return [
        line(event.data.node_id, "ranked", [
          money(event.data.total),
          event.data.quote_type,
          `score ${event.data.explanation.score}`,
        ]),
      ];
    case "QUOTE_REFUSED":
      return [line(event.data.node_id, "refused", [event.data.code, event.data.detail])];
    case "DELIVERY_RETRYING":
      return event.data.node_ids.map((node) => line(node, "asked again", [`attempt ${event.data.attempt}`]));
    case "DELIVERY_DEAD_LETTERED":
      return event.data.node_ids.map((node) =>
        line(node, "dead", [event.data.cause, `after ${event.data.attempts} attempts`]),
      );
    case "INTENT_AMENDED":
      return [`amended  revision ${event.data.revision}  quotes until ${event.data.quote_deadline}`];
    case "INTENT_CLOSED":
    case "INTENT_EXPIRED":
    case "INTENT_CANCELLED":
      return [
        `${event.type.slice("INTENT_".length).toLowerCase()}${event.data.reason === undefined ? "" : `  ${printable(event.data.reason)}`}`,
      ];
    default:
      return [];
  }
}

const line = (node: string, what: string, details: readonly string[]): string =>
  printable(`${node.padEnd(NODE_WIDTH)}  ${what.padEnd(11)}  ${details.join("  ")}`).trimEnd();

// outcry intent explain|timeline: why a node was asked or not, and what happened to an intent step by step.

import type { SelectionVerdict, TimelineNode, TimelineStage } from "@outcry/protocol";
import { type Command, given } from "./command.js";
import { moreHint, PAGE } from "./paging.js";
import type { Printer } from "./print.js";

export const intentExplain: Command = {
  summary: "Why a node was asked, or was not",
  args: ["intent"],
  options: { node: { type: "string", value: "id", help: "the node in question" } },
  examples: ["intent explain int_01kahsomeintent --node nod_01kahsomenode"],
  async run({ client, args, options, print }) {
    const view = await client.explain(args[0]!, options.required("node"));
    print.one(view, [
      `${view.node_id}  ${view.selected ? print.paint("selected", "green") : print.paint("not selected", "red")}  ${view.reason}`,
      ...verdictLines(
        print,
        `when the intent was posted, registry revision ${view.registry_revision}`,
        view.at_selection,
      ),
      ...verdictLines(print, "with the registry as it is now", view.now),
    ]);
  },
};

function verdictLines(print: Printer, title: string, verdict: SelectionVerdict | null): string[] {
  if (verdict === null) return [`${title}: not known`];
  return [
    `${title}: ${verdict.eligible ? "eligible" : "not eligible"}`,
    ...verdict.filters.map(
      ({ filter, passed, wanted, found }) =>
        `  ${passed ? print.paint("passed", "green") : print.paint("failed", "red")}  ${filter.padEnd(14)}  wanted ${wanted}, found ${found}`,
    ),
  ];
}

export const intentTimeline: Command = {
  summary: "What happened to an intent, stage by stage and node by node",
  args: ["intent"],
  options: { node: { type: "string", value: "id", help: "this node alone" }, ...PAGE },
  examples: [
    "intent timeline int_01kahsomeintent",
    "intent timeline int_01kahsomeintent --node nod_01kahsomenode --json",
  ],
  async run({ client, args, options, print }) {
    const view = await client.timeline(args[0]!, {
      ...given("nodeId", options.text("node")),
      ...given("limit", options.integer("limit")),
      ...given("cursor", options.text("cursor")),
    });
    print.one(view, [
      `${view.intent_id}  ${view.status}  trace ${view.trace_id}  request ${view.request_id}`,
      `recorded ${view.recorded_at}, quotes until ${view.quote_deadline}`,
      "",
      ...view.stages.map(stageLine),
      "",
      ...view.nodes.flatMap(nodeBlock),
    ]);
    moreHint(print, view.next_cursor);
  },
};

const at = (ms: number | undefined): string => (ms === undefined ? "?" : `${ms} ms`).padStart(10);

const stageLine = ({ stage, after_ms, attempt, nodes, node_id, detail }: TimelineStage): string =>
  [
    `${at(after_ms)}  ${stage.padEnd(22)}`,
    ...(attempt === undefined ? [] : [`attempt ${attempt}`]),
    ...(nodes === undefined ? [] : [`${nodes} nodes`]),
    ...(node_id === undefined ? [] : [node_id]),
    ...(detail === undefined ? [] : [detail]),
  ]
    .join("  ")
    .trimEnd();

/** A node and, below it, what it was sent and what it said, in the order of time. */
function nodeBlock({ node_id, state, attempts, answers, quotes }: TimelineNode): string[] {
  const happened = [
    ...attempts.map(({ attempt, after_ms }) => ({ after_ms, text: `sent, attempt ${attempt}` })),
    ...answers.map(({ kind, status, reason, after_ms }) => ({
      after_ms,
      text: `${kind} ${status}${reason === undefined ? "" : `: ${reason}`}`,
    })),
    ...quotes.map(({ quote_id, outcome, code, after_ms }) => ({
      after_ms,
      text: `quote ${quote_id} ${outcome}${code === undefined ? "" : `: ${code}`}`,
    })),
  ].toSorted((a, b) => (a.after_ms ?? 0) - (b.after_ms ?? 0));
  return [`${node_id}  ${state}`, ...happened.map(({ after_ms, text }) => `${at(after_ms)}  ${text}`)];
}

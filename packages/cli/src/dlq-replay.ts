// outcry dlq replay: shows the dry run, starts the replay, and follows it with a bar. outcry dlq replays: what ran and who asked.

import { setTimeout as sleep } from "node:timers/promises";
import { LIMITS, OutcryError, type ReplayDryRun, type ReplayView } from "@outcry/protocol";
import { type Command, type CommandContext, given, type Options } from "./command.js";
import { filterOf, FILTER_OPTIONS } from "./dlq-commands.js";
import { UsageError } from "./exit-codes.js";
import { moreHint, PAGE } from "./paging.js";

const POLL_MS = 250;
const ACTIONS = ["pause", "resume", "cancel"] as const;

export const dlqReplay: Command = {
  summary: "Send dead letters again at a rate: the dry run first, then a bar",
  args: [],
  options: {
    ...FILTER_OPTIONS,
    id: { type: "string", multiple: true, value: "letter", help: "this letter; may be repeated" },
    all: { type: "boolean", help: "every letter that can be sent again, without a filter" },
    rate: { type: "string", value: "number", help: `per second; ${LIMITS.replayRateDefault} by default` },
    reason: { type: "string", value: "text", help: "kept in the replay's audit" },
    "dry-run": { type: "boolean", help: "count what would be sent, send nothing" },
    detach: { type: "boolean", help: "start it and return; follow it with dlq replays" },
  },
  examples: [
    "dlq replay --status open --node nod_01kahsomenode --dry-run",
    'dlq replay --cause ack_timeout --since 2h --rate 20 --reason "the node was down for an hour"',
  ],
  async run(context) {
    const { client, options, print } = context;
    const request = {
      filter: { ...filterOf(options), ...given("ids", someOf(options.list("id"))) },
      ...given("rate_per_second", rateOf(options)),
      ...given("reason", options.text("reason")),
    };
    if (Object.keys(request.filter).length === 0 && !options.flag("all"))
      throw new UsageError("say which letters: a filter, --id, or --all");
    const dry = await client.replays.dryRun(request);
    if (options.flag("dry-run")) return print.one(dry, describeDryRun(dry));
    for (const line of describeDryRun(dry)) print.note(line);
    if (dry.valid === 0) return print.one(dry, ["nothing to send"]);
    const started = await client.replays.start(request);
    if (options.flag("detach")) return print.one(started, [`${started.id}  ${started.status}`]);
    const ended = await followReplay(context, started);
    print.one(ended, describeReplay(ended));
    if (ended.status !== "done") throw new OutcryError("internal", `the replay ${ended.id} is ${ended.status}`);
  },
};

export const dlqReplays: Command = {
  summary: "Replays, newest first; --id with an action pauses, resumes or cancels one",
  args: [],
  options: {
    id: { type: "string", value: "replay", help: "this one, with its audit" },
    action: { type: "string", value: ACTIONS.join("|"), help: "with --id" },
    reason: { type: "string", value: "text", help: "with --action: kept in its audit" },
    ...PAGE,
  },
  examples: ["dlq replays", "dlq replays --id rpl_01kahsomereplay --action pause --reason lunch"],
  async run({ client, options, print }) {
    const id = options.text("id");
    const action = options.oneOf("action", ACTIONS);
    if (action !== undefined && id === undefined) throw new UsageError("--action needs --id");
    if (id !== undefined) {
      const replay =
        action === undefined ? await client.replays.get(id) : await client.replays[action](id, options.text("reason"));
      return print.one(replay, describeReplay(replay));
    }
    const page = await client.replays.list({
      ...given("limit", options.integer("limit")),
      ...given("cursor", options.text("cursor")),
    });
    print.list(page.data, {
      REPLAY: (replay) => replay.id,
      STATUS: (replay) => replay.status,
      SENT: (replay) => `${replay.progress.sent}/${replay.valid}`,
      RECOVERED: (replay) => replay.progress.recovered,
      CREATED: (replay) => replay.created,
    });
    moreHint(print, page.next_cursor);
  },
};

/** Until it is neither running nor paused. An interrupted command leaves the replay to the service. */
async function followReplay({ client, progress, signal }: CommandContext, started: ReplayView): Promise<ReplayView> {
  const bar = progress("replay", started.valid);
  try {
    for (let replay = started; ; replay = await client.replays.get(started.id)) {
      const { sent, recovered, failed } = replay.progress;
      bar.set(sent, `${recovered} recovered, ${failed} failed${replay.status === "paused" ? ", paused" : ""}`);
      if (replay.status !== "running" && replay.status !== "paused") return replay;
      await sleep(POLL_MS, undefined, { signal });
    }
  } finally {
    bar.end();
  }
}

const someOf = (ids: string[]): string[] | undefined => (ids.length === 0 ? undefined : ids);

function rateOf(options: Options): number | undefined {
  const text = options.text("rate");
  if (text === undefined) return undefined;
  const rate = Number(text);
  if (!(rate >= 0.1 && rate <= LIMITS.replayRateMax))
    throw new UsageError(`--rate takes 0.1 to ${LIMITS.replayRateMax}, not ${JSON.stringify(text)}`);
  return rate;
}

const listed = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${reason} ${count}`)
    .join(", ");

function describeDryRun({ matched, valid, invalid, complete }: ReplayDryRun): string[] {
  const skipped = listed(invalid);
  return [
    `${matched} letters match${complete ? "" : " (and there are more)"}, ${valid} can be sent again`,
    ...(skipped === "" ? [] : [`not: ${skipped}`]),
  ];
}

function describeReplay({
  id,
  status,
  progress: { sent, recovered, failed, skipped },
  rate,
  audit,
}: ReplayView): string[] {
  const left = listed(skipped);
  return [
    `${id}  ${status}`,
    `sent ${sent}, recovered ${recovered}, failed ${failed}, ${rate.toFixed(1)}/s${left === "" ? "" : `; not: ${left}`}`,
    ...audit.map(
      ({ time, action, by, reason }) => `  ${time}  ${action} by ${by}${reason === undefined ? "" : `: ${reason}`}`,
    ),
  ];
}

// outcry dlq ls|groups|show|discard.

import { type DeadLetterDetail, GROUP_KEYS, LETTER_STATUSES, type LetterFilter, parseRfc3339 } from "@outcry/protocol";
import { type Command, given, type Options } from "./command.js";
import { UsageError } from "./exit-codes.js";
import { moreHint, PAGE } from "./paging.js";

const PREVIEW_CHARS = 400; // of a message's payload; --json has all of it

/** Which letters; all that are given must fit. */
export const FILTER_OPTIONS = {
  kind: {
    type: "string",
    value: "delivery|message",
    help: "deliveries that no node answered, or messages that failed",
  },
  cause: { type: "string", value: "text", help: "as dlq groups shows it" },
  node: { type: "string", value: "id", help: "of this node" },
  intent: { type: "string", value: "id", help: "of this intent" },
  stream: { type: "string", value: "name", help: "messages taken from this stream" },
  since: { type: "string", value: "time", help: "RFC 3339, or an age such as 90s, 30m, 2h, 7d" },
  until: { type: "string", value: "time", help: "the same, the end" },
  status: { type: "string", value: LETTER_STATUSES.join("|"), help: "only these" },
} as const;

export function filterOf(options: Options, nowMs: number = Date.now()): LetterFilter {
  return {
    ...given("kind", options.oneOf("kind", ["delivery", "message"])),
    ...given("cause", options.text("cause")),
    ...given("node_id", options.text("node")),
    ...given("intent_id", options.text("intent")),
    ...given("stream", options.text("stream")),
    ...given("since", timeOf(options, "since", nowMs)),
    ...given("until", timeOf(options, "until", nowMs)),
    ...given("status", options.oneOf("status", LETTER_STATUSES)),
  };
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function timeOf(options: Options, name: string, nowMs: number): string | undefined {
  const text = options.text(name);
  if (text === undefined) return undefined;
  const [, age, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const ms = age === undefined ? (parseRfc3339(text) ?? Date.parse(text)) : nowMs - Number(age) * UNIT_MS[unit!]!;
  if (!Number.isFinite(ms))
    throw new UsageError(`--${name} takes a time or an age such as 2h, not ${JSON.stringify(text)}`);
  return new Date(ms).toISOString();
}

export const dlqLs: Command = {
  summary: "Dead letters, newest first",
  args: [],
  options: { ...FILTER_OPTIONS, ...PAGE },
  examples: ["dlq ls --status open --since 2h", "dlq ls --node nod_01kahsomenode --json"],
  async run({ client, options, print }) {
    const page = await client.deadLetters({
      ...filterOf(options),
      ...given("limit", options.integer("limit")),
      ...given("cursor", options.text("cursor")),
    });
    print.list(page.data, {
      TIME: (letter) => letter.time,
      STATUS: (letter) => letter.status,
      KIND: (letter) => letter.kind,
      CAUSE: (letter) => letter.cause,
      TRIES: (letter) => letter.attempts,
      ID: (letter) => letter.id,
    });
    moreHint(print, page.next_cursor);
  },
};

export const dlqGroups: Command = {
  summary: "Dead letters counted by cause, node or version",
  args: [],
  options: {
    by: { type: "string", value: GROUP_KEYS.join("|"), help: "cause by default" },
    ...FILTER_OPTIONS,
    cursor: PAGE.cursor,
  },
  examples: ["dlq groups --status open", "dlq groups --by node --since 1d"],
  async run({ client, options, print }) {
    const groups = await client.deadLetterGroups(options.oneOf("by", GROUP_KEYS) ?? "cause", {
      ...filterOf(options),
      ...given("cursor", options.text("cursor")),
    });
    print.list(groups.data, {
      COUNT: (group) => group.count,
      [groups.by.toUpperCase()]: (group) => group.key,
      FIRST: (group) => group.first,
      LAST: (group) => group.last,
      SAMPLE: (group) => group.sample_id,
    });
    print.note(`${groups.scanned} letters looked at`);
    moreHint(print, groups.next_cursor);
  },
};

export const dlqShow: Command = {
  summary: "One dead letter: its timeline, its payload, what was done about it",
  args: ["letter"],
  options: {},
  examples: ["dlq show dead.int_01kahsomeintent.nod_01kahsomenode"],
  async run({ client, args, print }) {
    const letter = await client.deadLetter(args[0]!);
    print.one(letter, describeLetter(letter));
  },
};

export const dlqDiscard: Command = {
  summary: "Set a dead letter aside for good; it stays readable",
  args: ["letter"],
  options: {
    reason: { type: "string", value: "text", help: "kept with the letter, with who said so" },
    "dry-run": { type: "boolean", help: "show the letter, discard nothing" },
  },
  examples: ['dlq discard dead.int_01kahsomeintent.nod_01kahsomenode --reason "the shop has closed"'],
  async run({ client, args, options, print }) {
    const reason = options.required("reason");
    const letter = options.flag("dry-run")
      ? await client.deadLetter(args[0]!)
      : await client.discardDeadLetter(args[0]!, reason);
    print.one(
      letter,
      options.flag("dry-run") ? ["would be discarded:", ...describeLetter(letter)] : [`${letter.id}  ${letter.status}`],
    );
  },
};

function describeLetter(letter: DeadLetterDetail): string[] {
  const { timeline = [], payload, discarded, replayed, recovered, source } = letter;
  const text = payload === undefined ? undefined : Buffer.from(payload, "base64").toString();
  return [
    `${letter.id}  ${letter.kind}  ${letter.status}`,
    `cause      ${letter.cause}, after ${letter.attempts} attempts, ${letter.time}`,
    ...(letter.intent_id === undefined ? [] : [`intent     ${letter.intent_id}`]),
    ...(letter.node_id === undefined ? [] : [`node       ${letter.node_id}`]),
    ...(source === undefined ? [] : [`from       ${source.stream} ${source.sequence}, ${source.subject}`]),
    ...timeline.map(
      ({ time, event, attempt, detail }) =>
        `  ${time}  ${event}${attempt === undefined ? "" : `  attempt ${attempt}`}${detail === undefined ? "" : `  ${detail}`}`,
    ),
    ...(text === undefined
      ? []
      : [`payload    ${text.slice(0, PREVIEW_CHARS)}${text.length > PREVIEW_CHARS ? " …" : ""}`]),
    ...(replayed === undefined ? [] : [`replayed   ${replayed.outcome} by ${replayed.replay_id}, ${replayed.time}`]),
    ...(recovered === undefined ? [] : [`recovered  by ${recovered.by}, ${recovered.time}`]),
    ...(discarded === undefined ? [] : [`discarded  by ${discarded.by}: ${discarded.reason}, ${discarded.time}`]),
  ];
}

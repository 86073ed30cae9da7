// outcry intent amend: changes an open intent; the same nodes get it anew.

import { type AmendRequest, toRfc3339 } from "@outcry/protocol";
import { type Command, type CommandContext, given, type Options } from "./command.js";
import { UsageError } from "./exit-codes.js";
import { readJsonFile } from "./json-file.js";

export const intentAmend: Command = {
  summary: "Amend an open intent; the same nodes get it anew",
  args: ["intent"],
  options: {
    file: { type: "string", value: "path", help: "what changes, as JSON; - reads it from standard input" },
    "budget-minor": { type: "string", value: "number", help: "most to pay from now on, in minor units" },
    "no-budget": { type: "boolean", help: "no limit any more" },
    description: { type: "string", value: "text", help: "in place of the standing one" },
    "window-ms": { type: "string", value: "ms", help: "how long quotes are taken from now on" },
    "expected-revision": { type: "string", value: "number", help: "refuse when it is at another one" },
    "idempotency-key": {
      type: "string",
      value: "text",
      help: "made up when absent; repeat it to repeat the same amendment",
    },
  },
  examples: [
    "intent amend int_01kahsomeintent --budget-minor 12000",
    "intent amend int_01kahsomeintent --window-ms 60000 --expected-revision 1",
    "jq '{line_items}' order.json | outcry intent amend int_01kahsomeintent --file -",
  ],
  async run({ client, args, options, readInput, print, signal }) {
    const changes = await changesOf(options, readInput);
    const done = await client.amend(args[0]!, changes, {
      signal,
      ...given("idempotencyKey", options.text("idempotency-key")),
    });
    const { idempotencyKey: _key, replayed, ...answer } = done;
    print.one(answer, [
      `${done.id}  revision ${done.revision}  ${done.targets} nodes  quotes until ${done.quote_deadline}${replayed ? "  (amended before)" : ""}`,
    ]);
  },
};

async function changesOf(options: Options, readInput: CommandContext["readInput"]): Promise<AmendRequest> {
  const file = options.text("file");
  const maxMinor = options.integer("budget-minor");
  const windowMs = options.integer("window-ms");
  if (maxMinor !== undefined && options.flag("no-budget"))
    throw new UsageError("--budget-minor and --no-budget exclude each other");
  const changes: AmendRequest = {
    ...(file === undefined ? {} : await readJsonFile<AmendRequest>(file, readInput)),
    ...given("description", options.text("description")),
    ...(maxMinor === undefined ? {} : { budget: { max_minor: maxMinor } }),
    ...(options.flag("no-budget") ? { budget: null } : {}),
    ...(windowMs === undefined ? {} : { quote_deadline: toRfc3339(Date.now() + windowMs) }),
    ...given("expected_revision", options.integer("expected-revision")),
  };
  if (Object.keys(changes).every((member) => member === "expected_revision"))
    throw new UsageError("nothing to change: give --file, or one of the options that --help lists");
  return changes;
}

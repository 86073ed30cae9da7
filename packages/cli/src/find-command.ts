// From the words of a command line to a command of the table and its options. What is unknown is named, with what is near.

import { parseArgs } from "node:util";
import { type Command, Options } from "./command.js";
import { COMMANDS, SHARED_OPTIONS } from "./command-table.js";
import { UsageError } from "./exit-codes.js";
import { didYouMean } from "./suggest.js";

export interface FoundCommand {
  readonly name: string;
  readonly command: Command;
  /** Words behind the name. */
  readonly rest: readonly string[];
}

/** The longest name that the words begin with. */
export function findCommand(words: readonly string[]): FoundCommand | undefined {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(" ");
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command !== undefined) return { name, command, rest: words.slice(length) };
  }
  return undefined;
}

export function unknownCommand(words: readonly string[]): UsageError {
  const names = words.filter((word) => !word.startsWith("-")).slice(0, 2);
  const typed = names.join(" ");
  const known = Object.keys(COMMANDS);
  const ofNoun = known.filter((name) => name.startsWith(`${names[0] ?? ""} `));
  if (names.length === 1 && ofNoun.length > 0)
    return new UsageError(
      `${typed} needs a verb: ${ofNoun.map((name) => name.split(" ")[1]).join(", ")}; see outcry ${typed} --help`,
    );
  return new UsageError(
    `there is no command ${JSON.stringify(typed)}${didYouMean(typed, ofNoun.length > 0 ? ofNoun : known, (name) => `outcry ${name}`)}; see outcry --help`,
  );
}

// A key id is a thumbprint in base64url (RFC 7638): one in 64 begins with a dash, and no option is so long.
const THUMBPRINT = /^-[\w-]{42}$/;
const NO_OPTION = "\0"; // no argument of a process can hold it

/** Options and positional arguments as given. */
export function parseOptions(command: Command, words: readonly string[]): { options: Options; args: string[] } {
  const rows = { ...SHARED_OPTIONS, ...command.options };
  const options = Object.fromEntries(
    Object.entries(rows).map(([name, { type, multiple = false }]) => [name, { type, multiple }]),
  );
  try {
    const args = words.map((word) => (THUMBPRINT.test(word) ? `${NO_OPTION}${word}` : word));
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
    return { options: new Options(values), args: positionals.map((word) => word.replace(NO_OPTION, "")) };
  } catch (error) {
    throw new UsageError(explain(error as NodeJS.ErrnoException, Object.keys(rows)));
  }
}

function explain({ code, message }: NodeJS.ErrnoException, known: readonly string[]): string {
  if (code !== "ERR_PARSE_ARGS_UNKNOWN_OPTION") return message;
  const [, typed = ""] = /'--?([^'\s=]+)/.exec(message) ?? [];
  return `there is no option --${typed}${didYouMean(typed, known, (name) => `--${name}`)}`;
}

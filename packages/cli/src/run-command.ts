// The command line `outcry`: finds the command, reads its options, gives it a client, and turns errors into exit codes.

import { parseArgs } from "node:util";
import { createClient } from "@outcry/client";
import { WebSocket } from "ws";
import { type Command, type OptionRow, Options } from "./command.js";
import { EXIT, type ExitCode, exitCodeOf, UsageError } from "./exit-codes.js";
import { intentCancel, intentGet, intentSend, intentTail, quoteLs } from "./intent-commands.js";
import {
  dlqLs,
  inviteCreate,
  keyCreate,
  keyLs,
  keyRevoke,
  nodeLs,
  nodeResume,
  nodeSuspend,
  tokenMint,
} from "./operator-commands.js";
import { describeError, Printer } from "./print.js";

export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly readInput: () => Promise<string>;
  readonly signal: AbortSignal;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  "intent send": intentSend,
  "intent get": intentGet,
  "intent cancel": intentCancel,
  "intent tail": intentTail,
  "quote ls": quoteLs,
  "node ls": nodeLs,
  "node suspend": nodeSuspend,
  "node resume": nodeResume,
  "key create": keyCreate,
  "key ls": keyLs,
  "key revoke": keyRevoke,
  "token mint": tokenMint,
  "invite create": inviteCreate,
  "dlq ls": dlqLs,
};

const DEFAULT_URL = "http://127.0.0.1:7070";
const SHARED: Readonly<Record<string, OptionRow>> = {
  url: { type: "string", value: "url", help: `the API; OUTCRY_URL, else ${DEFAULT_URL}` },
  "gateway-url": { type: "string", value: "url", help: "the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API" },
  key: {
    type: "string",
    value: "key",
    help: "API key or token; better in OUTCRY_API_KEY, where no process list shows it",
  },
  json: { type: "boolean", help: "one JSON value a line" },
  help: { type: "boolean", help: "this text" },
};

export async function runCommand(argv: readonly string[], io: Io): Promise<ExitCode> {
  try {
    await run(argv, io);
    return EXIT.ok;
  } catch (error) {
    if (io.signal.aborted) return EXIT.failed;
    io.err(describeError(error));
    return exitCodeOf(error);
  }
}

async function run(argv: readonly string[], io: Io): Promise<void> {
  const name = argv.slice(0, 2).join(" ");
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    if (argv.length === 0 || argv.includes("--help")) return io.out(overview(argv[0]));
    throw new UsageError(`there is no command ${JSON.stringify(name)}; see outcry --help`);
  }
  const { values, positionals } = parse(command, argv.slice(2));
  const options = new Options(values);
  if (options.flag("help")) return io.out(helpOf(name, command));
  if (positionals.length !== command.args.length) throw new UsageError(`usage: ${usageOf(name, command)}`);
  await command.run({
    client: clientOf(options, io),
    args: positionals,
    options,
    print: new Printer(io.out, options.flag("json")),
    readInput: io.readInput,
    signal: io.signal,
  });
}

function parse(command: Command, args: readonly string[]) {
  const options = Object.fromEntries(
    Object.entries({ ...SHARED, ...command.options }).map(([name, { type, multiple = false }]) => [
      name,
      { type, multiple },
    ]),
  );
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function clientOf(options: Options, { env }: Io) {
  const apiKey = options.text("key") ?? env["OUTCRY_API_KEY"];
  if (apiKey === undefined || apiKey === "") throw new UsageError("no key: set OUTCRY_API_KEY or give --key");
  const gatewayUrl = options.text("gateway-url") ?? env["OUTCRY_GATEWAY_URL"];
  return createClient({
    url: options.text("url") ?? env["OUTCRY_URL"] ?? DEFAULT_URL,
    apiKey,
    WebSocket,
    ...(gatewayUrl === undefined ? {} : { gatewayUrl }),
  });
}

/** All commands, or those of one noun. */
function overview(noun: string | undefined): string {
  const ofNoun = Object.entries(COMMANDS).filter(([name]) => name.startsWith(`${noun ?? ""} `));
  const shown = ofNoun.length > 0 ? ofNoun : Object.entries(COMMANDS);
  const lines = shown.map(([name, command]) => `  outcry ${name.padEnd(16)}${command.summary}`);
  return [
    "Usage: outcry <noun> <verb> [options]",
    "",
    ...lines,
    "",
    "outcry <noun> <verb> --help tells its options.",
    EXIT_HELP,
    "",
  ].join("\n");
}

const EXIT_HELP = "Exit codes: 0 ok, 1 failed, 2 usage, 3 auth, 4 not found, 5 unavailable.";

const usageOf = (name: string, { args }: Command): string =>
  ["outcry", name, ...args.map((arg) => `<${arg}>`), "[options]"].join(" ");

function helpOf(name: string, command: Command): string {
  const rows = Object.entries({ ...command.options, ...SHARED }).map(([option, { value, help }]) => {
    const left = `--${option}${value === undefined ? "" : ` <${value}>`}`;
    return `  ${left.padEnd(32)}${help}`;
  });
  return [command.summary, "", `Usage: ${usageOf(name, command)}`, "", ...rows, ""].join("\n");
}

// The command line `outcry`: finds the command, reads its options, gives it a client, and turns errors into exit codes.

import { type Client, createClient, RealtimeError } from "@outcry/client";
import { ERRORS, type ErrorCode, OutcryError } from "@outcry/protocol";
import { WebSocket } from "ws";
import type { CommandContext, Options } from "./command.js";
import { DEFAULT_URL } from "./command-table.js";
import { EXIT, type ExitCode, exitCodeOf, UsageError } from "./exit-codes.js";
import { findCommand, parseOptions, unknownCommand } from "./find-command.js";
import { helpOf, overview, usageOf } from "./help.js";
import { describeError, Printer } from "./print.js";
import { startProgress } from "./progress.js";

export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly readInput: () => Promise<string>;
  readonly signal: AbortSignal;
  /** Of the terminals behind out and err; undefined for files and pipes. */
  readonly columns?: { readonly out: number | undefined; readonly err: number | undefined };
}

export async function runCommand(argv: readonly string[], io: Io): Promise<ExitCode> {
  try {
    await run(argv, io);
    return EXIT.ok;
  } catch (thrown) {
    if (io.signal.aborted) return EXIT.failed;
    const error = tableErrorOf(thrown);
    io.err(describeError(error));
    return exitCodeOf(error);
  }
}

/** What the gateway refused, as a row of the error table. */
function tableErrorOf(error: unknown): unknown {
  if (!(error instanceof RealtimeError) || !Object.hasOwn(ERRORS, error.code)) return error;
  return new OutcryError(error.code as ErrorCode, error.detail, { cause: error });
}

async function run(argv: readonly string[], io: Io): Promise<void> {
  const found = findCommand(argv);
  if (found === undefined) {
    if (argv.length === 0 || argv.includes("--help")) return io.out(overview(argv[0]));
    throw unknownCommand(argv);
  }
  const { name, command, rest } = found;
  if (rest.includes("--help")) return io.out(helpOf(name, command));
  const { options, args } = parseOptions(command, rest);
  if (args.length !== command.args.length) throw new UsageError(`usage: ${usageOf(name, command)}`);
  await command.run(contextOf(options, args, io));
}

function contextOf(options: Options, args: readonly string[], io: Io): CommandContext {
  const { env, out, err, readInput, signal, columns } = io;
  const url = (options.text("url") ?? env["OUTCRY_URL"] ?? DEFAULT_URL).replace(/\/+$/, "");
  const gatewayUrl = options.text("gateway-url") ?? env["OUTCRY_GATEWAY_URL"] ?? `${url.replace(/^http/, "ws")}/v1/ws`;
  const apiKey = options.text("key") ?? env["OUTCRY_API_KEY"];
  const json = options.flag("json");
  const color = columns?.out !== undefined && (env["NO_COLOR"] ?? "") === "";
  let client: Client | undefined;
  return {
    get client() {
      return (client ??= clientOf({ url, gatewayUrl, apiKey }));
    },
    url,
    gatewayUrl,
    apiKey: apiKey === "" ? undefined : apiKey,
    args,
    options,
    env,
    print: new Printer(out, { json, color, columns: columns?.out }),
    progress: (label, total) =>
      startProgress(label, total, { err, columns: columns?.err, now: () => performance.now() }),
    readInput,
    signal,
  };
}

function clientOf({ url, gatewayUrl, apiKey }: { url: string; gatewayUrl: string; apiKey: string | undefined }) {
  if (apiKey === undefined || apiKey === "") throw new UsageError("no key: set OUTCRY_API_KEY or give --key");
  return createClient({ url, gatewayUrl, apiKey, WebSocket });
}

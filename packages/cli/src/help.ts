// The texts of --help, from the table of commands.

import type { Command } from "./command.js";
import { COMMANDS, SHARED_OPTIONS } from "./command-table.js";
import { EXIT_MEANINGS } from "./exit-codes.js";

const NAME_GAP = 2;
const OPTION_WIDTH = 30;

/** All commands, or those of one noun. */
export function overview(noun: string | undefined): string {
  const ofNoun = Object.entries(COMMANDS).filter(([name]) => name === noun || name.startsWith(`${noun ?? ""} `));
  const shown = ofNoun.length > 0 ? ofNoun : Object.entries(COMMANDS);
  const width = Math.max(...shown.map(([name]) => name.length)) + NAME_GAP;
  return [
    "Usage: outcry <command> [options]",
    "",
    ...shown.map(([name, { summary }]) => `  outcry ${name.padEnd(width)}${summary}`),
    "",
    "outcry <command> --help tells its options and an example.",
    `Exit codes: ${exitCodes()}.`,
    "",
  ].join("\n");
}

export const usageOf = (name: string, { args }: Command): string =>
  ["outcry", name, ...args.map((arg) => `<${arg}>`), "[options]"].join(" ");

export function helpOf(name: string, command: Command): string {
  const rows = Object.entries({ ...command.options, ...SHARED_OPTIONS }).map(([option, { value, help }]) => {
    const left = `--${option}${value === undefined ? "" : ` <${value}>`}`;
    return left.length < OPTION_WIDTH
      ? `  ${left.padEnd(OPTION_WIDTH)}${help}`
      : `  ${left}\n${" ".repeat(OPTION_WIDTH + 2)}${help}`;
  });
  const examples = command.examples.map((example) => `  outcry ${example}`);
  return [command.summary, "", `Usage: ${usageOf(name, command)}`, "", ...rows, "", "Examples:", ...examples, ""].join(
    "\n",
  );
}

const exitCodes = (): string =>
  Object.entries(EXIT_MEANINGS)
    .map(([code, meaning]) => `${code} ${meaning.split(":")[0]}`)
    .join(", ");

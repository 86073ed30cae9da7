// outcry completion bash|zsh|fish: scripts from the table of commands. They complete names and fixed values, and ask nobody.

import type { Command, OptionRow } from "./command.js";
import { UsageError } from "./exit-codes.js";
import { didYouMean } from "./suggest.js";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

type Commands = Readonly<Record<string, Command>>;
type OptionRows = Readonly<Record<string, OptionRow>>;

export const completion: Command = {
  summary: "A completion script for your shell",
  args: ["bash|zsh|fish"],
  options: {},
  examples: ["completion bash > ~/.local/share/bash-completion/completions/outcry", "completion fish | source"],
  async run({ args, print }) {
    const shell = SHELLS.find((name) => name === args[0]);
    if (shell === undefined)
      throw new UsageError(`completion takes ${SHELLS.join(", ")}${didYouMean(args[0]!, SHELLS)}`);
    const { COMMANDS, SHARED_OPTIONS } = await import("./command-table.js"); // the table holds this command, too
    print.raw(completionScript(shell, COMMANDS, SHARED_OPTIONS));
  },
};

export function completionScript(shell: Shell, commands: Commands, shared: OptionRows): string {
  const words = { bash: bashScript, zsh: zshScript, fish: fishScript };
  return words[shell](commands, shared);
}

const firstWords = (commands: Commands): string[] => [
  ...new Set(Object.keys(commands).map((name) => name.split(" ")[0]!)),
];

const verbsOf = (commands: Commands, noun: string): string[] =>
  Object.keys(commands).flatMap((name) => (name.startsWith(`${noun} `) ? [name.split(" ")[1]!] : []));

const optionNames = (command: Command, shared: OptionRows): string[] =>
  Object.keys({ ...command.options, ...shared }).map((name) => `--${name}`);

/** `--status <active|suspended>` can only be one of these. */
const choices = ({ value = "" }: OptionRow): string[] =>
  value.includes("|") && !value.split("|").includes("n") ? value.split("|") : [];

const choicesOf = (commands: Commands): [name: string, option: string, values: string[]][] =>
  Object.entries(commands).flatMap(([name, { options }]) =>
    Object.entries(options).flatMap(([option, row]): [string, string, string[]][] =>
      choices(row).length > 0 ? [[name, option, choices(row)]] : [],
    ),
  );

function bashScript(commands: Commands, shared: OptionRows): string {
  const verbs = firstWords(commands).flatMap((noun) => {
    const found = verbsOf(commands, noun);
    return found.length === 0 ? [] : [`    ${noun}) words="${found.join(" ")}" ;;`];
  });
  const options = Object.entries(commands).map(
    ([name, command]) => `    "${name}") words="${optionNames(command, shared).join(" ")}" ;;`,
  );
  const values = choicesOf(commands).map(
    ([name, option, found]) => `    "${name} --${option}") words="${found.join(" ")}" ;;`,
  );
  return `# outcry completion bash
_outcry() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" words=""
  local one="\${COMP_WORDS[1]}" two="\${COMP_WORDS[1]} \${COMP_WORDS[2]}" name
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${firstWords(commands).join(" ")}" -- "$current"))
    return
  fi
  if [ "$COMP_CWORD" -eq 2 ] && [ "\${current#-}" = "$current" ]; then
    case "$one" in
${verbs.join("\n")}
    completion) words="${SHELLS.join(" ")}" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    return
  fi
  case "$two" in
${Object.keys(commands)
  .filter((name) => name.includes(" "))
  .map((name) => `    "${name}") name="$two" ;;`)
  .join("\n")}
    *) name="$one" ;;
  esac
  case "$name $previous" in
${values.join("\n")}
    *) case "$name" in
${options.map((line) => `  ${line}`).join("\n")}
      esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _outcry outcry
`;
}

/** zsh understands bash's scripts; this one says so and keeps descriptions for commands. */
function zshScript(commands: Commands, shared: OptionRows): string {
  const described = (entries: [string, string][]) =>
    entries.map(([word, help]) => `    ${quote(`${word.replaceAll(":", "\\:")}:${help}`)}`).join("\n");
  const nouns = firstWords(commands).map((noun): [string, string] => [
    noun,
    commands[noun]?.summary ?? verbsOf(commands, noun).join(", "),
  ]);
  const verbs = firstWords(commands).flatMap((noun) => {
    const found = verbsOf(commands, noun).map((verb): [string, string] => [verb, commands[`${noun} ${verb}`]!.summary]);
    return found.length === 0 ? [] : [`  ${noun}) offered=(\n${described(found)}\n  ) ;;`];
  });
  const options = Object.entries(commands).map(([name, command]) => {
    const rows = Object.entries({ ...command.options, ...shared });
    return `  ${quote(name)}) offered=(\n${described(rows.map(([option, { help }]) => [`--${option}`, help]))}\n  ) ;;`;
  });
  return `#compdef outcry
# outcry completion zsh
_outcry() {
  local -a offered; local one="\${words[2]}" two="\${words[2]} \${words[3]}" name
  if (( CURRENT == 2 )); then
    offered=(
${described(nouns)}
    )
    _describe command offered; return
  fi
  if (( CURRENT == 3 )) && [[ "\${words[3]}" != -* ]]; then
  case "$one" in
${verbs.join("\n")}
  completion) offered=(${SHELLS.join(" ")}) ;;
  esac
  _describe verb offered; return
  fi
  case "$two" in
${Object.keys(commands)
  .filter((name) => name.includes(" "))
  .map((name) => `  ${quote(name)}) name="$two" ;;`)
  .join("\n")}
  *) name="$one" ;;
  esac
  case "$name" in
${options.join("\n")}
  esac
  _describe option offered || _files
}
compdef _outcry outcry
`;
}

function fishScript(commands: Commands, shared: OptionRows): string {
  const lines = firstWords(commands).map(
    (noun) =>
      `complete -c outcry -n __fish_use_subcommand -a ${noun} -d ${quote(commands[noun]?.summary ?? verbsOf(commands, noun).join(", "))}`,
  );
  for (const [name, command] of Object.entries(commands)) {
    const [noun = "", verb] = name.split(" ");
    const siblings = verbsOf(commands, noun).join(" ");
    if (verb !== undefined)
      lines.push(
        `complete -c outcry -n ${quote(`__fish_seen_subcommand_from ${noun}; and not __fish_seen_subcommand_from ${siblings}`)} -a ${verb} -d ${quote(command.summary)}`,
      );
    const seen =
      verb === undefined
        ? `__fish_seen_subcommand_from ${noun}`
        : `__fish_seen_subcommand_from ${noun}; and __fish_seen_subcommand_from ${verb}`;
    for (const [option, row] of Object.entries(command.options)) {
      const values = choices(row);
      const takes = row.type === "boolean" ? "" : values.length > 0 ? ` -x -a ${quote(values.join(" "))}` : " -r";
      lines.push(`complete -c outcry -n ${quote(seen)} -l ${option}${takes} -d ${quote(row.help)}`);
    }
  }
  for (const [option, { type, help }] of Object.entries(shared))
    lines.push(`complete -c outcry -l ${option}${type === "boolean" ? "" : " -r"} -d ${quote(help)}`);
  lines.push(`complete -c outcry -n "__fish_seen_subcommand_from completion" -x -a ${quote(SHELLS.join(" "))}`);
  return `# outcry completion fish\n${lines.join("\n")}\n`;
}

/** For any shell: in single quotes, a quote inside written as '\\''. */
const quote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

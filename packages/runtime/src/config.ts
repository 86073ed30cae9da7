// The configuration: read once, checked whole, frozen. All mistakes are reported together, each with what was probably meant.

import { readFileSync } from "node:fs";
import { OTHER_VARIABLES, type Variable, VARIABLES } from "./config-table.js";

type ValueOf<V extends Variable> = V extends { kind: "integer" }
  ? number
  : V extends { kind: "boolean" }
    ? boolean
    : V extends { kind: "list" }
      ? readonly string[]
      : V extends { kind: "choice"; choices: readonly (infer C)[] }
        ? C
        : string;

type Row = (typeof VARIABLES)[number];

export type Config = {
  readonly [V in Row as V["key"]]: V extends { default: string } ? ValueOf<V> : ValueOf<V> | undefined;
};

export type Env = Readonly<Record<string, string | undefined>>;

/** Thrown with every mistake at once, one per line. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(`The configuration has ${mistakes.length} mistake(s):\n${mistakes.map((line) => `  - ${line}`).join("\n")}`);
    this.mistakes = mistakes;
  }
}

/** The only reader of process.env; main.ts passes it on. */
export const processEnv = (): Env => ({ ...process.env });

const NEAR = 3; // edits within which a name counts as mistyped
// Kubernetes adds these for a Service that is called outcry: they are nobody's mistake.
const SERVICE_LINK = /^OUTCRY_(?:.*_)?(?:SERVICE_(?:HOST|PORT)(?:_.*)?|PORT_\d+_(?:TCP|UDP)(?:_.*)?)$/;

export function readConfig(env: Env): Config {
  const mistakes = unknownNames(env);
  const config: Record<string, unknown> = {};
  for (const variable of VARIABLES as readonly Variable[]) {
    try {
      const text = readText(env, variable) ?? variable.default;
      config[variable.key] = text === undefined ? undefined : freezeList(parse(variable, text));
    } catch (error) {
      mistakes.push(`${variable.name}: ${(error as Error).message}`);
    }
  }
  if ((config["tlsCertFile"] === undefined) !== (config["tlsKeyFile"] === undefined)) {
    mistakes.push("OUTCRY_TLS_CERT_FILE and OUTCRY_TLS_KEY_FILE belong together: set both or none");
  }
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return Object.freeze(config) as Config;
}

function unknownNames(env: Env): string[] {
  const known = (VARIABLES as readonly Variable[]).flatMap(({ name, secret }) =>
    secret ? [name, `${name}_FILE`] : [name],
  );
  const accepted = new Set<string>([...known, ...OTHER_VARIABLES]);
  return Object.keys(env)
    .filter((name) => name.startsWith("OUTCRY_") && !accepted.has(name) && !SERVICE_LINK.test(name))
    .map((name) => {
      const nearest = known
        .map((other) => ({ other, edits: editDistance(name, other) }))
        .sort((a, b) => a.edits - b.edits)[0]!;
      return nearest.edits <= NEAR ? `${name} is not known; did you mean ${nearest.other}?` : `${name} is not known`;
    });
}

/** An empty variable counts as unset, as shells and compose files write it. */
function readText(env: Env, { name, alias, secret }: Variable): string | undefined {
  const value = env[name] || (alias ? env[alias] : undefined) || undefined;
  const file = secret ? env[`${name}_FILE`] || undefined : undefined;
  if (file === undefined) return value;
  if (value !== undefined) throw new Error(`is set twice: directly and by ${name}_FILE`);
  try {
    return readFileSync(file, "utf8").trimEnd();
  } catch (error) {
    throw new Error(`${name}_FILE cannot be read (${(error as NodeJS.ErrnoException).code ?? "error"}): ${file}`, {
      cause: error,
    });
  }
}

function parse(variable: Variable, text: string): unknown {
  const shown = variable.secret ? "the value" : `"${text}"`;
  switch (variable.kind) {
    case "list":
      return text
        .split(",")
        .map((item) => item.trim())
        .filter((item) => item !== "");
    case "boolean":
      return parseBoolean(text, shown);
    case "integer":
      return parseInteger(variable, text, shown);
    case "choice":
      return parseChoice(variable, text, shown);
    case "url":
      return parseUrl(variable, text, shown);
    case "text":
    case "path":
      return text;
    default:
      return variable.kind satisfies never;
  }
}

function parseBoolean(text: string, shown: string): boolean {
  if (text === "true" || text === "1") return true;
  if (text === "false" || text === "0") return false;
  throw new Error(`${shown} is neither true nor false`);
}

function parseChoice({ choices = [] }: Variable, text: string, shown: string): string {
  if (choices.includes(text)) return text;
  const nearest = choices.find((choice) => editDistance(choice, text.toLowerCase()) <= NEAR);
  throw new Error(`${shown} is none of ${choices.join(", ")}${nearest ? `; did you mean ${nearest}?` : ""}`);
}

function parseUrl({ schemes = [] }: Variable, text: string, shown: string): string {
  if (URL.canParse(text) && schemes.includes(new URL(text).protocol.slice(0, -1))) return text;
  throw new Error(`${shown} is not a ${schemes.map((scheme) => `${scheme}://`).join(" or ")} URL`);
}

function parseInteger({ min = 0, max = Number.MAX_SAFE_INTEGER }: Variable, text: string, shown: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < min || number > max) {
    throw new Error(`${shown} is not a whole number from ${min} to ${max}`);
  }
  return number;
}

const freezeList = (value: unknown): unknown => (Array.isArray(value) ? Object.freeze(value) : value);

/** docs/configuration.md, written by scripts/write-configuration.mjs. */
export const configurationPage = (): string => `# Configuration

Variables of the services, read once at start; all mistakes are reported together. A secret may stand in a file that
\`<name>_FILE\` names. An empty variable counts as unset, an unknown \`OUTCRY_\` name as a mistake.

${describeConfig()}
Tools around the services also know \`OUTCRY_NATS_SERVER\` and \`OUTCRY_REDIS_SERVER\` (paths of the servers that
\`npm start\` and \`npm test\` run), \`OUTCRY_TEST_DATA\` (folder of test data), and for the command line \`OUTCRY_URL\`
and \`OUTCRY_API_KEY\`.
`;

/** The table as Markdown. */
function describeConfig(): string {
  const lines = (VARIABLES as readonly Variable[]).map((variable) => {
    const names = [
      variable.name,
      ...(variable.secret ? [`${variable.name}_FILE`] : []),
      ...(variable.alias ? [variable.alias] : []),
    ];
    const fallback = variable.default ? `\`${variable.default}\`` : "–";
    return `| ${names.map((name) => `\`${name}\``).join(" ")} | ${variable.kind} | ${fallback} | ${variable.doc} |`;
  });
  return ["| variable | kind | default | meaning |", "|---|---|---|---|", ...lines, ""].join("\n");
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

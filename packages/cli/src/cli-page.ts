// docs/cli.md, from the table of commands.

import { COMMANDS } from "./command-table.js";
import { EXIT_MEANINGS } from "./exit-codes.js";
import { helpOf } from "./help.js";

const GUIDE = `
# The command line

Generated from \`packages/cli/src/command-table.ts\` by \`npm run docs\`; a test fails when the two differ.

\`outcry\` speaks HTTP and WebSocket like everyone else; \`doctor\` alone also reads NATS and Redis, with what it is given. Set \`OUTCRY_URL\` and
\`OUTCRY_API_KEY\` once, then:

\`\`\`sh
outcry intent send --query "red running shoes, size 42" --category apparel --region DE --wait
outcry doctor --data-dir .outcry
\`\`\`

In this repository the command is \`node packages/cli/bin/outcry.js\`.

- **\`--json\`** prints one JSON value a line, as the API has it (\`/openapi.json\`); people's notes and bars are left out.
- **Bars** go to the error output, and only when it is a terminal. Colours too; \`NO_COLOR\` turns them off.
- **\`--dry-run\`** is on everything that changes many things at once, or cannot be undone.
- **Completion**: \`outcry completion bash|zsh|fish\` prints a script.
`;

export function cliPage(): string {
  const codes = Object.entries(EXIT_MEANINGS).map(([code, meaning]) => `| ${code}    | ${meaning} |`);
  const width = Math.max(...codes.map((line) => line.length));
  const table = [`| code | meaning`, `| ---- | -`].map((line) =>
    line.endsWith("-") ? `${line.padEnd(width - 2, "-")} |` : `${line.padEnd(width - 2)} |`,
  );
  const commands = Object.entries(COMMANDS).map(
    ([name, command]) => `## ${name}\n\n\`\`\`text\n${helpOf(name, command)}\`\`\``,
  );
  const exits = `## Exit codes\n\n${[...table, ...codes.map((line) => `${line.slice(0, -2).padEnd(width - 2)} |`)].join("\n")}`;
  return `${[GUIDE.trim(), exits, ...commands].join("\n\n")}\n`;
}

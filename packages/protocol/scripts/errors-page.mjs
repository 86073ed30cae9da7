// Writes docs/errors.md from the error table. Run `node packages/protocol/scripts/errors-page.mjs` after `npm run build`.

import { realpathSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ERROR_RANGES, ERRORS } from "../dist/index.js";

export const pagePath = fileURLToPath(new URL("../../../docs/errors.md", import.meta.url));

/** The page as it has to be. */
export function errorsPage() {
  const sections = Object.entries(ERROR_RANGES).map(([range, title]) => {
    const rows = Object.entries(ERRORS).filter(([, row]) => Math.floor(row.number / 1_000) === Number(range));
    return `## ${range}xxx: ${lowerFirst(title)}\n\n${table(rows)}`;
  });
  return `${[guide.trim(), ...sections].join("\n\n")}\n`;
}

const guide = `
# Errors

Generated from \`packages/protocol/src/errors.ts\` by \`node packages/protocol/scripts/errors-page.mjs\`; a test fails when the two differ.

One table serves every border. Over HTTP a failed answer is \`application/problem+json\` (RFC 9457) whose \`code\`, \`number\` and \`hint\` are those
below, whose \`detail\` says what happened this time, and whose \`errors\` point at every wrong place at once (RFC 6901). A node reads
the same codes in the answer to its quote and in its notices, a subscriber in the gateway's \`err\`.

- **Act on the code.** Numbers and codes never change their meaning; titles and details are for people.
- **again** says whether the same request may succeed later, unchanged. Repeat it with the same Idempotency-Key, or the same signed
  bytes, after \`Retry-After\`. Everything else has to be changed first.
- **An unknown code** comes from a later version: go by the HTTP status and \`retryable\`.
`;

function table(rows) {
  const cells = rows.map(([code, row]) => [
    `\`${code}\``,
    String(row.number),
    String(row.httpStatus),
    row.temporary ? "yes" : "no",
    row.meaning,
    row.whatToDo,
  ]);
  const head = ["code", "number", "HTTP", "again", "it means", "what to do"];
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column].length)));
  const line = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...cells.map(line)].join("\n");
}

const lowerFirst = (text) => text[0].toLowerCase() + text.slice(1);

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  writeFileSync(pagePath, errorsPage());
}

// Writes docs/gateway-limits.md and docs/gateway-close-codes.md. Run `node packages/ws-gateway/scripts/gateway-pages.mjs` after
// `npm run build`. A limit's reason is the comment beside it in limits.ts: one that has none fails here.

import { readFileSync, realpathSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CLOSE, FRAME_FAULTS, GATEWAY_LIMITS } from "../dist/index.js";

const docs = (name) => fileURLToPath(new URL(`../../../docs/${name}`, import.meta.url));
const GENERATED = "by `node packages/ws-gateway/scripts/gateway-pages.mjs`; a test fails when the two differ.";

/** Path → text, as they have to be. */
export function gatewayPages() {
  return new Map([
    [docs("gateway-limits.md"), limitsPage()],
    [docs("gateway-close-codes.md"), closeCodesPage()],
  ]);
}

function limitsPage() {
  const source = readFileSync(new URL("../src/limits.ts", import.meta.url), "utf8");
  const rows = limitRows(source.slice(source.indexOf("GATEWAY_LIMITS = {"), source.indexOf("} as const")));
  const missing = Object.keys(GATEWAY_LIMITS).filter((name) => !rows.some((row) => row.name === name));
  if (missing.length > 0) throw new Error(`limits.ts: no reason beside ${missing.join(", ")}`);
  const groups = [...new Set(rows.map(({ group }) => group))];
  const sections = groups.map((group) => {
    const cells = rows
      .filter((row) => row.group === group)
      .map(({ name, reason }) => [`\`${name}\``, valueOf(name), reason]);
    return `## ${upperFirst(group)}\n\n${table(["limit", "value", "why"], cells)}`;
  });
  const head = `# Limits of the gateway\n\nGenerated from \`packages/ws-gateway/src/limits.ts\` ${GENERATED}`;
  return `${[head, "Per process, where a row does not say otherwise.", ...sections].join("\n\n")}\n`;
}

/** A line that is a comment alone opens a group. */
function limitRows(text) {
  const rows = [];
  let group = "";
  for (const line of text.split("\n")) {
    group = /^ {2}\/\/ (.+)$/.exec(line)?.[1] ?? group;
    const [, name, reason] = /^ {2}(\w+): .+?, \/\/ (.+)$/.exec(line) ?? [];
    if (name !== undefined) rows.push({ group, name, reason });
  }
  return rows;
}

function valueOf(name) {
  const value = GATEWAY_LIMITS[name];
  if (name.endsWith("Ms")) return value >= 1_000 ? `${value / 1_000} s` : `${value} ms`;
  if (!/Bytes/.test(name)) return value.toLocaleString("en");
  return value % 1_048_576 === 0 ? `${value / 1_048_576} MiB` : `${value / 1_024} KiB`;
}

function closeCodesPage() {
  const row = ({ number, code, reconnect, meaning }) => [
    String(number),
    `\`${code}\``,
    reconnect ? "yes" : "no",
    meaning,
  ];
  const codes = [...Object.values(FRAME_FAULTS), ...Object.values(CLOSE)].sort((a, b) => a.number - b.number);
  const head = `# Close codes of the gateway\n\nGenerated from \`packages/ws-gateway/src/transport/close-codes.ts\` ${GENERATED}`;
  const guide =
    "4000 to 4499: reconnect and resume. 4500 to 4999, and those of RFC 6455 that name a fault of the client: not before something is " +
    "changed. Where the name is said in `bye` (5.6 of [gateway-protocol.md](gateway-protocol.md)), `after_ms` stands beside it.";
  return `${[head, guide, table(["code", "name", "come back", "meaning"], codes.map(row))].join("\n\n")}\n`;
}

function table(head, cells) {
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column].length)));
  const line = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...cells.map(line)].join("\n");
}

const upperFirst = (text) => text[0].toUpperCase() + text.slice(1);

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  for (const [path, text] of gatewayPages()) writeFileSync(path, text);
}

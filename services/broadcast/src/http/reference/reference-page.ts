// The API reference at /docs: one static page made from the API document, with examples that a test runs. No script, no font, no other
// host: it works without a network, and its Content-Security-Policy allows its own style alone.

import { createHash } from "node:crypto";
import { curlOf, type Example, EXAMPLES } from "./examples.js";
import { STYLE } from "./reference-style.js";
import { type Schema, schemaRows, typeName } from "./schema-rows.js";

interface Operation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly object[];
  readonly "x-roles"?: readonly string[];
  readonly parameters?: readonly {
    name: string;
    in: string;
    required?: boolean;
    description?: string;
    schema: Schema;
  }[];
  readonly requestBody?: { content: Readonly<Record<string, { schema: Schema }>> };
  readonly responses?: Readonly<
    Record<string, { description?: string; content?: Readonly<Record<string, { schema: Schema }>> }>
  >;
}

export interface ApiDocument {
  readonly info: { title: string; description?: string };
  readonly tags?: readonly { name: string; description?: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** Nothing may be loaded but the one style that is in the page. */
export const REFERENCE_CSP = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

interface Listed {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

export function referencePage({ info, tags = [], paths }: ApiDocument): string {
  const all = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Listed => ({ method: method.toUpperCase(), path, operation })),
  );
  const titles = new Map(tags.map(({ name, description = "" }) => [name, description]));
  const groups = [...new Set(all.map(({ operation }) => operation.tags?.[0] ?? "other"))];
  const of = (group: string) => all.filter(({ operation }) => (operation.tags?.[0] ?? "other") === group);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${text(info.title)} API</title>
<style>${STYLE}</style></head><body>
<nav>${groups.map((group) => `<h2>${text(group)}</h2><ul>${of(group).map(linkOf).join("")}</ul>`).join("")}</nav>
<main><h1>${text(info.title)} API</h1><p>${text(info.description ?? "")}</p>${INTRODUCTION}
${groups.map((group) => `<h2>${text(group)}</h2><p>${text(titles.get(group) ?? "")}</p>${of(group).map(section).join("\n")}`).join("\n")}
</main></body></html>
`;
}

const INTRODUCTION = `<p>Set <code>OUTCRY_URL</code> and <code>OUTCRY_API_KEY</code> in your shell to run the curl examples. Those in
TypeScript begin with:</p><pre>import { createClient } from "@outcry/client";
import { env } from "node:process";

const outcry = createClient({ url: env.OUTCRY_URL, apiKey: env.OUTCRY_API_KEY });</pre>
<p>The document behind this page: <a href="/openapi.json">/openapi.json</a>. Errors are RFC 9457 problems; each code links to its page.</p>`;

const anchorOf = ({ method, path }: Listed): string =>
  `${method}-${path}`.replaceAll(/[^A-Za-z0-9]+/g, "-").toLowerCase();

const linkOf = (listed: Listed): string =>
  `<li><a href="#${anchorOf(listed)}"><b>${listed.method}</b> ${text(listed.path)}</a></li>`;

function section(listed: Listed): string {
  const { method, path, operation } = listed;
  const example = EXAMPLES[`${method} ${path}`];
  const roles = operation["x-roles"];
  return `<section id="${anchorOf(listed)}"><h3><b>${method}</b> ${text(path)}</h3>
<p class="summary">${text(operation.summary ?? "")}</p>
${operation.description === undefined || operation.description.startsWith("Roles:") ? "" : `<p>${text(operation.description)}</p>`}
<p>${roles === undefined ? "Public" : `Roles: ${roles.map((role) => `<code>${text(role)}</code>`).join(" ")}`}</p>
${parametersOf(operation)}${bodyOf(operation)}${answersOf(operation)}${example === undefined ? "" : exampleOf(method, example, roles !== undefined)}</section>`;
}

function exampleOf(method: string, example: Example, keyed: boolean): string {
  const client = example.client ?? (example.note === undefined ? undefined : `// ${example.note}`);
  return `<h4>Example, answered with ${example.status}</h4><pre>${text(curlOf(method, example, keyed))}</pre>${
    client === undefined ? "" : `<pre>${text(client)}</pre>`
  }`;
}

function parametersOf({ parameters = [] }: Operation): string {
  if (parameters.length === 0) return "";
  const rows = parameters.map(({ name, in: place, required = false, description, schema }) =>
    row(name, `${typeName(schema)}, in ${place}`, required, description ?? schema.description ?? ""),
  );
  return `<h4>Parameters</h4><table>${rows.join("")}</table>`;
}

function bodyOf({ requestBody }: Operation): string {
  const schema = Object.values(requestBody?.content ?? {})[0]?.schema;
  return schema === undefined ? "" : `<h4>Body</h4>${schemaTable(schema)}`;
}

function answersOf({ responses = {} }: Operation): string {
  const entries = Object.entries(responses);
  const good = entries.filter(([status]) => Number(status) < 400);
  const bad = entries.filter(([status]) => Number(status) >= 400);
  const answers = good.map(([status, { content = {} }]) => {
    const schema = Object.values(content)[0]?.schema;
    return `<details><summary>${status}${schema === undefined ? "" : ` ${text(typeName(schema))}`}</summary>${schema === undefined ? "" : schemaTable(schema)}</details>`;
  });
  const errors = bad.map(([status, { description = "" }]) => `<li>${status}: ${codesIn(description)}</li>`);
  return `<h4>Answers</h4>${answers.join("")}<details><summary>Errors</summary><ul>${errors.join("")}</ul></details>`;
}

/** The document's descriptions of problems are `code`: meaning, a paragraph each (openapi.ts). */
const codesIn = (description: string): string =>
  description
    .split("\n\n")
    .map((paragraph) => {
      const [, code] = /^`(\w+)`/.exec(paragraph) ?? [];
      return code === undefined ? text(paragraph) : `<a href="/errors/${code}" title="${text(paragraph)}">${code}</a>`;
    })
    .join(", ");

const schemaTable = (schema: Schema): string =>
  `<table>${schemaRows(schema)
    .map(({ place, type, required, notes }) => row(place, type, required, notes))
    .join("")}</table>`;

const row = (place: string, type: string, required: boolean, notes: string): string =>
  `<tr><td><code>${text(place)}</code>${required ? "" : " <i>optional</i>"}</td><td>${text(type)}</td><td>${text(notes)}</td></tr>`;

/** Everything from the document goes through here, attributes too. */
const text = (raw: string): string =>
  raw.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

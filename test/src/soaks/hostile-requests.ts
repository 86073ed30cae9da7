// The matrix of the HTTP API: every operation of /openapi.json × bodies, path and query parameters, headers and methods that no
// client should send, each with the code that must answer it as far as the document and the parser say. A new route is in it at once.

import { check, LIMITS, newId, parseStrict } from "@outcry/protocol";
import { hasCorpus, readData } from "../corpus-files.js";
import { type Body, bodyOf } from "../hostile-bodies.js";
import type { Expected } from "./judge-answer.js";
import type { RawRequest } from "./raw-http.js";

type Schema = Parameters<typeof check>[0];

export interface Operation {
  method: string;
  /** `/v1/nodes/{id}` */
  path: string;
  /** Undefined: public. */
  roles: readonly string[] | undefined;
  orAnonymous: boolean;
  body: Schema | undefined;
  query: { name: string; schema: { type?: string; enum?: unknown[]; anyOf?: unknown[] } }[];
}

export interface Case {
  name: string;
  request: RawRequest;
  expected: Expected;
}

interface Documented {
  security?: Record<string, unknown>[];
  "x-roles"?: string[];
  parameters?: { in: string; name: string; schema: Operation["query"][number]["schema"] }[];
  requestBody?: { content: { "application/json": { schema: Schema } } };
}
export type ApiDocument = { paths: Record<string, Record<string, Documented>> };

export function operationsOf({ paths }: ApiDocument): Operation[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, documented]) => ({
      method: method.toUpperCase(),
      path,
      roles: documented["x-roles"],
      orAnonymous: (documented.security ?? []).some((scheme) => Object.keys(scheme).length === 0),
      body: documented.requestBody?.content["application/json"].schema,
      query: (documented.parameters ?? []).filter((parameter) => parameter.in === "query"),
    })),
  );
}

export interface Keys {
  backend: string;
  operator: string;
  admin: string;
}

const ROLES = ["backend", "operator", "admin"] as const;
const PREFIXES = { intents: "int", nodes: "nod", "api-keys": "key", webhooks: "whk", replays: "rpl" } as const;

/** Well-formed and unknown: what is hostile in a case is something else, and nothing real is hit. */
export function filled(path: string): string {
  return path
    .replaceAll(/\/([^/]+)\/\{id\}/g, (_, kind: string) => `/${kind}/${unknownId(kind)}`)
    .replaceAll(/\{\w+\}/g, "none");
}

function unknownId(kind: string): string {
  if (kind === "dead-letters") return `dead.${newId("int")}.${newId("nod")}`;
  const prefix = PREFIXES[kind as keyof typeof PREFIXES] as string | undefined;
  return newId("int").replace("int", prefix ?? "int");
}

function headersFor({ roles }: Operation, keys: Keys): Record<string, string> {
  const role = ROLES.find((one) => roles?.includes(one));
  return {
    "content-type": "application/json",
    "idempotency-key": newId("req"),
    ...(role === undefined ? {} : { authorization: `Bearer ${keys[role]}` }),
  };
}

/** Bodies: as the parser refuses them, else as the schema does, else as the handler likes. */
export function bodyCases(operation: Operation, keys: Keys, bodies: readonly Body[]): Case[] {
  if (operation.method === "GET") return [];
  const path = filled(operation.path);
  return bodies.map(({ name, bytes }) => ({
    name: `${operation.method} ${operation.path} with ${name}`,
    request: { method: operation.method, path, headers: headersFor(operation, keys), body: bytes },
    expected: expectedOfBody(operation, bytes),
  }));
}

function expectedOfBody({ body }: Operation, bytes: Uint8Array): Expected {
  if (bytes.length === 0 && body === undefined) return undefined;
  const parsed = parseStrict(bytes, { bytesMax: LIMITS.bodyBytesMax });
  if (parsed.kind === "refused") return parsed.code;
  if (parsed.value === null) return undefined; // where no body is needed, null is none
  return body !== undefined && check(body, parsed.value).kind === "invalid" ? "validation_failed" : undefined;
}

/** JSON of every kind where an object with these properties is expected, one wrong property at a time. */
export function shapeBodies({ body }: Operation): Body[] {
  const wrong: unknown[] = [null, true, 7, -1.5, "", "x", "x".repeat(60_000), [], {}, [[[]]], { a: { b: {} } }];
  const { properties = {} } = (body ?? {}) as { properties?: Record<string, unknown> };
  const alone = wrong.map((value) => bodyOf(`${describe(value)} as the body`, JSON.stringify(value)));
  const inside = Object.keys(properties).flatMap((name) =>
    wrong.map((value) => bodyOf(`${describe(value)} as ${name}`, JSON.stringify({ [name]: value }))),
  );
  return [...alone, ...inside];
}

const describe = (value: unknown): string => JSON.stringify(value).slice(0, 20);

/** Texts as one part of the path: nothing has such an id. */
export function pathCases(operation: Operation, keys: Keys, texts: readonly string[]): Case[] {
  if (!operation.path.includes("{")) return [];
  return texts.filter(fitsPath).map((text) => ({
    name: `${operation.method} ${operation.path} at ${JSON.stringify(text.slice(0, 40))}`,
    request: {
      method: operation.method,
      path: operation.path.replaceAll(/\{\w+\}/g, () => text),
      headers: headersFor(operation, keys),
      ...(operation.body === undefined ? {} : { body: Buffer.from("{}") }),
    },
    expected: "refused",
  }));
}

/** Node refuses to send the others. */
const fitsPath = (text: string): boolean => text !== "" && !/[^\u0021-\u00ff]/.test(text);

const NO_INTEGERS = [
  "",
  "abc",
  "-1e5",
  "1.5",
  "0x10",
  "9".repeat(20),
  "NaN",
  "%201",
  "1%00",
  "%EF%BC%91",
  "null",
  "%5B%5D",
];

export function queryCases(operation: Operation, keys: Keys, texts: readonly string[]): Case[] {
  return operation.query.flatMap(({ name, schema }) => {
    const closed = schema.type === "integer" || schema.enum !== undefined || schema.anyOf !== undefined;
    const encoded = texts.filter(isWellFormed).map((text) => encodeURIComponent(text));
    const values = closed ? NO_INTEGERS : encoded;
    const required = operation.query.filter((other) => other.name === "by" && name !== "by").map(() => "by=cause&");
    const path = (query: string) => `${filled(operation.path)}?${required.join("")}${query}`;
    return [...values.map((value) => `${name}=${value}`), `${name}=1&${name}=2`, `${name}[]=1`, name].map((query) => ({
      name: `${operation.method} ${operation.path}?${query.slice(0, 60)}`,
      request: { method: operation.method, path: path(query), headers: headersFor(operation, keys) },
      expected: closed && query !== `${name}[]=1` ? ("refused" as const) : undefined,
    }));
  });
}

/** Who may not call it, with every kind of credential that is none; other content types and encodings. */
export function headerCases(operation: Operation, keys: Keys): Case[] {
  const { method, path, roles, orAnonymous, body } = operation;
  const good = headersFor(operation, keys);
  const cases: Case[] = [];
  const add = (what: string, headers: Record<string, string>, expected: Expected, bytes?: Uint8Array) =>
    cases.push({
      name: `${method} ${path} with ${what}`,
      request: { method, path: filled(path), headers, ...(bytes === undefined ? {} : { body: bytes }) },
      expected,
    });
  if (roles !== undefined) {
    const { authorization: _, ...anonymous } = good;
    if (!orAnonymous) add("no credentials", anonymous, "credentials_missing");
    for (const text of NO_CREDENTIALS)
      add(`Authorization ${text.slice(0, 30)}`, { ...good, authorization: text }, "credentials_invalid");
    for (const role of ROLES)
      if (!roles.includes(role))
        add(`a key of ${role}`, { ...good, authorization: `Bearer ${keys[role]}` }, "permission_denied");
  }
  if (body !== undefined) {
    const bytes = Buffer.from("{}");
    for (const type of [
      "text/plain",
      "application/xml",
      "multipart/form-data; boundary=x",
      "application/json; charset=utf-16",
      "a",
    ])
      add(
        `content type ${type}`,
        { ...good, "content-type": type },
        type.startsWith("application/json") ? undefined : "media_type_unsupported",
        bytes,
      );
    for (const encoding of ["gzip", "br", "deflate", "x"])
      add(`encoding ${encoding}`, { ...good, "content-encoding": encoding }, "media_type_unsupported", bytes);
  }
  for (const [name, value] of STRANGE_HEADERS)
    add(`${name}: ${value.slice(0, 20)}`, { ...good, [name]: value }, undefined);
  return cases;
}

const NO_CREDENTIALS = [
  "Bearer",
  "Bearer x",
  "Bearer ock_",
  `Bearer ${"x".repeat(9_000)}`,
  "Basic YWRtaW46YWRtaW4=",
  "bearer ock_admin ock_admin",
  "Bearer eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4ifQ.",
  "Bearer ../../etc/passwd",
  "Bearer \u00ff\u00fe",
];

const STRANGE_HEADERS: [string, string][] = [
  ["traceparent", "00-zz-zz-zz"],
  ["traceparent", "x".repeat(4_000)],
  ["x-request-id", "x".repeat(4_000)],
  ["idempotency-key", "x".repeat(300)],
  ["idempotency-key", "\u00e9\u00ff"],
  ["idempotency-key", " "],
  ["if-match", "*"],
  ["accept", "text/html"],
  ["x-forwarded-for", "127.0.0.1, ' OR 1=1"],
  ["range", "bytes=0-0"],
  ["expect", "200-ok"],
  ["last-event-id", "-1"],
];

/** Each path with each method that the document does not name there. */
export function methodCases(operations: readonly Operation[]): Case[] {
  const paths = [...new Set(operations.map(({ path }) => path))];
  return paths.flatMap((path) =>
    ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]
      .filter((method) => !operations.some((one) => one.path === path && one.method === method))
      .map((method) => ({
        name: `${method} ${path}`,
        request: { method, path: filled(path) },
        expected: "refused" as const,
      })),
  );
}

/** Texts for paths and queries: naughty strings when they are there, and our own. */
export function hostileTexts(): string[] {
  const own = [
    "..",
    "../..",
    "%2e%2e%2f",
    "%00",
    "%ff",
    "%",
    "%zz",
    "*",
    ">",
    "a.b",
    "__proto__",
    "constructor",
    "hasOwnProperty",
  ];
  own.push(
    "x".repeat(129),
    "x".repeat(5_000),
    `int_${"8".repeat(26)}`,
    newId("int").toUpperCase(),
    "'%20OR%201=1",
    "$where",
    "{}",
  );
  return [...own, ...(hasCorpus ? (JSON.parse(readData("security/blns/blns.json")) as string[]) : [])];
}

/** Without lone surrogates, which encodeURIComponent does not take. */
const isWellFormed = (text: string): boolean => !/\p{Surrogate}/u.test(text);

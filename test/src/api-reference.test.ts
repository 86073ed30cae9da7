// /docs: loads nothing, lists every operation, and every example on the page is run as it stands and answered as it says.
// The curl examples go through a shell to curl, or where there is none to run-curl.mjs; the client's through Node.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { newKeyPair } from "@outcry/backbone";
import {
  type ApiKeyCreated,
  canonicalize,
  newId,
  newNonce,
  newTraceId,
  PROTOCOL,
  PROTOCOL_VERSION,
  type Role,
} from "@outcry/protocol";
import { generateKey, publicJwk, signEnvelope } from "@outcry/signing";
import type { Backend } from "./api-calls.js";
import { inMs, type Market, type Registered, startMarket } from "./in-process.js";
import { repository } from "./workspaces.js";

interface Shown {
  readonly operation: string;
  readonly status: number;
  readonly curl: string;
  readonly client: string;
  readonly roles: readonly string[];
}

let market: Market;
let backend: Backend;
let folder: string;
let page: string;
let shown: Shown[];
let operations: string[];
const keys: Partial<Record<Role, string>> = {};

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "outcry-test-docs-"));
  writeFileSync(path.join(folder, ".curlrc"), 'silent\nwrite-out = "\\n%{http_code}"\n');
  market = await startMarket();
  for (const role of ["backend", "operator", "admin"] as const) {
    const made = await market.admin<ApiKeyCreated>("POST", "/v1/api-keys", { role, name: role });
    keys[role] = made.body.secret;
  }
  backend = { ...(await market.backend()), call: market.as(keys.backend) };
  page = await (await fetch(`${market.url}/docs`)).text();
  shown = [...page.matchAll(/<section id[^>]*>([\s\S]*?)<\/section>/g)].map(([, section]) => readSection(section!));
  const document = (await (await fetch(`${market.url}/openapi.json`)).json()) as { paths: Record<string, object> };
  operations = Object.entries(document.paths).flatMap(([url, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${url}`),
  );
});
afterAll(async () => {
  await market?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function readSection(html: string): Shown {
  const plain = (fragment = "") =>
    fragment
      .replaceAll(/<[^>]+>/g, "")
      .replaceAll("&lt;", "<")
      .replaceAll("&gt;", ">")
      .replaceAll("&quot;", '"')
      .replaceAll("&amp;", "&");
  const [curl, client] = [...html.matchAll(/<pre>([\s\S]*?)<\/pre>/g)].map(([, code]) => plain(code));
  return {
    operation: plain(/<h3>([\s\S]*?)<\/h3>/.exec(html)![1]),
    status: Number(/answered with (\d+)/.exec(html)?.[1]),
    curl: curl ?? "",
    client: client ?? "",
    roles: plain(/Roles: (.*)<\/p>/.exec(html)?.[1])
      .split(" ")
      .filter((role) => role !== ""),
  };
}

/** What the examples' variables stand for; fresh for each, so that none meets what another has ended or removed. */
async function variables({ roles }: Shown): Promise<Record<string, string>> {
  const node = await market.register({ categories: ["apparel"] });
  const posted = await backend.call<{ id: string }>(
    "POST",
    "/v1/intents",
    { line_items: [{ query: "shoes" }], context: { currency: "EUR" }, routing: { targets: [node.id] } },
    { "idempotency-key": newNonce() },
  );
  const spare = await market.admin<ApiKeyCreated>("POST", "/v1/api-keys", { role: "operator", name: "spare" });
  const role = (roles[0] ?? "admin") as Role;
  return {
    OUTCRY_URL: market.url,
    OUTCRY_API_KEY: keys[role]!,
    INTENT_ID: posted.body.id,
    NODE_ID: node.id,
    API_KEY_ID: spare.body.id,
    SIGNED: await signedChallenge(node),
    PUBLIC_JWK: JSON.stringify(publicJwk(generateKey())),
    NATS_PUBLIC_KEY: newKeyPair("user").publicKey,
  };
}

async function signedChallenge({ id, key }: Registered): Promise<string> {
  const asked = await market.as(undefined)<{ challenge: string; service_id: string }>(
    "POST",
    `/v1/nodes/${id}/credentials/challenge`,
  );
  const bytes = canonicalize({
    protocol: PROTOCOL,
    version: PROTOCOL_VERSION,
    type: "credentials",
    id: newId("msg"),
    trace_id: newTraceId(),
    sender: { id },
    audience: asked.body.service_id,
    created: inMs(0),
    expires: inMs(30_000),
    nonce: newNonce(),
    payload: { node_id: id, challenge: asked.body.challenge },
  });
  const { jws } = signEnvelope(bytes, "credentials", key);
  return JSON.stringify({ envelope: Buffer.from(bytes).toString(), signature: jws });
}

async function run(command: string, args: string[], env: Record<string, string>) {
  const child = spawn(command, args, {
    cwd: path.join(repository, "test"),
    env: { PATH: process.env["PATH"], CURL_HOME: folder, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { out, err, code: code as number | null };
}

const CURL = `curl() { "${process.execPath}" "${path.join(repository, "test", "run-curl.mjs")}" "$@"; }`;
const statusIn = (out: string): number => Number(out.trim().split("\n").at(-1));

describe("/docs", () => {
  test("is one page that loads nothing and may run nothing", async () => {
    const { headers } = await fetch(`${market.url}/docs`);
    expect(headers.get("content-security-policy")).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
    );
    expect(page).not.toMatch(/<script|<link|<img|<iframe|\ssrc=|\son\w+=|style="|url\(|@import|https?:\/\/(?!127)/);
  });

  test("shows every operation of the API document, each with an example", () => {
    expect(shown.map(({ operation }) => operation).toSorted()).toEqual(operations.toSorted());
    for (const { operation, curl, client, status } of shown)
      expect({ operation, curl, client, status }).toEqual({
        operation,
        curl: expect.stringMatching(/^curl /),
        client: expect.stringMatching(/\S/),
        status: expect.any(Number),
      });
  });

  test("escapes what the document says", () => {
    expect(page).toContain("&quot;open&quot; | &quot;closed&quot;");
  });

  test("every curl example is answered with the status that stands above it", async () => {
    for (const example of shown) {
      const ran = await run(
        "sh",
        ["-c", `command -v curl >/dev/null || ${CURL}\n${example.curl}`],
        await variables(example),
      );
      const status = statusIn(ran.out);
      expect([example.operation, status, status === example.status ? "" : ran.out + ran.err]).toEqual([
        example.operation,
        example.status,
        "",
      ]);
    }
  });

  test("the stand-in for curl does the same, where a machine has none", async () => {
    const example = shown.find(({ operation }) => operation === "POST /v1/tokens")!;
    const ran = await run("sh", ["-c", `${CURL}\n${example.curl}`], await variables(example));
    expect([statusIn(ran.out), ran.err]).toEqual([201, ""]);
  });

  test("every example with the client runs as it stands", async () => {
    const [, imports, setUp] = /<pre>((?:import [^\n]+\n)+)\n([\s\S]*?)<\/pre>/
      .exec(page)!
      .map((code) => code.replaceAll("&quot;", '"'));
    const examples = shown.filter(({ client }) => !client.startsWith("//"));
    const blocks = await Promise.all(
      examples.map(async (example) => {
        const env = await variables(example);
        const constants = Object.keys(env).map((name) => `const ${camelCase(name)} = env.${name};`);
        return `console.log(${JSON.stringify(example.operation)});
Object.assign(env, ${JSON.stringify(env)});
{ ${setUp!}\n${constants.join("\n")}\n{ ${example.client} } }`;
      }),
    );
    const ran = await run(process.execPath, ["--input-type=module", "-e", [imports!, ...blocks].join("\n")], {});
    expect([ran.err, ran.code]).toEqual(["", 0]);
    expect(ran.out.trim().split("\n")).toEqual(examples.map(({ operation }) => operation));
  });
});

const camelCase = (name: string): string =>
  name.toLowerCase().replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

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
  type ReplayView,
  type Role,
  STREAMS,
  SUBJECTS,
} from "@outcry/protocol";
import { generateKey, publicJwk, signEnvelope } from "@outcry/signing";
import { type Backend, backendOf } from "./api-calls.js";
import { type GatewayProcess, GatewaySocket, startGateway } from "./gateways.js";
import { eventually, inMs, type Market, type Registered, startMarket } from "./in-process.js";
import { connectRaw, type RawNode } from "./raw-node.js";
import { repository } from "./workspaces.js";

interface Shown {
  readonly operation: string;
  readonly status: number;
  readonly curl: string;
  readonly client: string;
  readonly roles: readonly string[];
}

let market: Market;
let gateway: GatewayProcess;
let backend: Backend;
let folder: string;
let page: string;
let steady: RawNode;
let away: RawNode;
let lastNode: Registered;
let lastReplay: string | undefined;
let shown: Shown[];
let operations: string[];
const keys: Partial<Record<Role, string>> = {};
const sockets: GatewaySocket[] = [];

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "outcry-test-docs-"));
  writeFileSync(path.join(folder, ".curlrc"), 'silent\nwrite-out = "\\n%{http_code}"\n');
  market = await startMarket({
    ackTimeoutMs: 100,
    attemptsMax: 1,
    webhooks: { resolve: async () => ["127.0.0.1"] }, // shop.example is nobody: nothing leaves this machine
  });
  gateway = await startGateway(market);
  [steady, away] = [(await connectRaw(market)).acksAll(), await connectRaw(market)];
  for (const role of ["operator", "admin"] as const)
    keys[role] = (await market.admin<ApiKeyCreated>("POST", "/v1/api-keys", { role, name: role })).body.secret;
  const shop = await market.admin<ApiKeyCreated>("POST", "/v1/api-keys", { role: "backend", name: "shop" });
  keys.backend = shop.body.secret;
  backend = backendOf(market.as(keys.backend), shop.body.backend_id!);
  page = await (await fetch(`${market.url}/docs`)).text();
  shown = [...page.matchAll(/<section id[^>]*>([\s\S]*?)<\/section>/g)].map(([, section]) => readSection(section!));
  const document = (await (await fetch(`${market.url}/openapi.json`)).json()) as { paths: Record<string, object> };
  operations = Object.entries(document.paths).flatMap(([url, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${url}`),
  );
});
afterAll(async () => {
  for (const socket of sockets) await socket.close();
  await gateway?.stop();
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
const MAKERS: Readonly<Record<string, () => Promise<string>>> = {
  INTENT_ID: () => openIntent(steady.id),
  NODE_ID: async () => (lastNode = await market.register()).id,
  API_KEY_ID: async () =>
    (await market.admin<ApiKeyCreated>("POST", "/v1/api-keys", { role: "operator", name: "spare" })).body.id,
  SIGNED: async () => {
    const { bytes, jws } = await signedChallenge(lastNode, "credentials", {});
    return JSON.stringify({ envelope: bytes.toString(), signature: jws });
  },
  SIGNED_KEY: async () => {
    const added = generateKey();
    const { bytes, jws } = await signedChallenge(lastNode, "node-key", { public_key: publicJwk(added) });
    const proof = signEnvelope(bytes, "node-key", added).jws;
    return JSON.stringify({ envelope: bytes.toString(), signature: jws, proof });
  },
  NODE_KID: async () => {
    const both = [publicJwk(lastNode.key), publicJwk(generateKey())];
    await market.admin("PATCH", `/v1/nodes/${lastNode.id}`, { public_keys: both });
    return lastNode.key.kid;
  },
  SIGNING_KID: async () =>
    (await market.admin<{ data: { kid: string }[] }>("GET", "/v1/signing-keys")).body.data[0]!.kid,
  PUBLIC_JWK: async () => JSON.stringify(publicJwk(generateKey())),
  NATS_PUBLIC_KEY: async () => newKeyPair("user").publicKey,
  WEBHOOK_ID: async () =>
    (await backend.call<{ id: string }>("POST", "/v1/webhooks", { url: "https://shop.example/outcry" })).body.id,
  LETTER_ID: () => deadLetter(),
  CONNECTION_ID: async () => {
    const socket = await GatewaySocket.open(gateway, keys.backend!);
    sockets.push(socket);
    return socket.id;
  },
  REPLAY_ID: () => slowReplay(),
};

async function variables({ roles, curl, client }: Shown): Promise<Record<string, string>> {
  const role = roles.find((name) => name in keys) ?? "admin";
  const env: Record<string, string> = { OUTCRY_URL: market.url, OUTCRY_API_KEY: keys[role as Role]! };
  for (const [name, make] of Object.entries(MAKERS))
    if (new RegExp(`\\$${name}\\b|\\b${camelCase(name)}\\b`).test(`${curl}\n${client}`)) env[name] = await make();
  return env;
}

/** It stays open: the first target acknowledges and never quotes. */
async function openIntent(...targets: string[]): Promise<string> {
  const asked = { line_items: [{ query: "shoes" }], context: { currency: "EUR" }, routing: { targets } };
  const { status, body } = await backend.post(asked);
  if (status !== 202) throw new Error(JSON.stringify(body));
  return body.id;
}

async function deadLetter(): Promise<string> {
  const letter = SUBJECTS.deadDelivery(await openIntent(steady.id, away.id), away.id);
  await eventually(() => market.last(STREAMS.deadLetters, letter));
  return letter;
}

/** At one letter in ten seconds it is under way when examples meet it. The last one, unless that has ended. */
async function slowReplay(): Promise<string> {
  if (lastReplay !== undefined) {
    const { body } = await market.admin<ReplayView>("GET", `/v1/dead-letters/replays/${lastReplay}`);
    if (body.status === "running" || body.status === "paused") return lastReplay;
  }
  const ids = [await deadLetter(), await deadLetter(), await deadLetter()];
  const request = { filter: { ids }, rate_per_second: 0.1 };
  return (lastReplay = (await market.admin<ReplayView>("POST", "/v1/dead-letters/replays", request)).body.id);
}

/** What the node SDK does with a challenge. */
async function signedChallenge({ id, key }: Registered, type: "credentials" | "node-key", more: object) {
  const asked = await market.as(undefined)<{ challenge: string; service_id: string }>(
    "POST",
    `/v1/nodes/${id}/credentials/challenge`,
  );
  const bytes = canonicalize({
    protocol: PROTOCOL,
    version: PROTOCOL_VERSION,
    type,
    id: newId("msg"),
    trace_id: newTraceId(),
    sender: { id },
    audience: asked.body.service_id,
    created: inMs(0),
    expires: inMs(30_000),
    nonce: newNonce(),
    payload: { node_id: id, challenge: asked.body.challenge, ...more },
  });
  return { bytes: Buffer.from(bytes), jws: signEnvelope(bytes, type, key).jws };
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
    expect(page).not.toMatch(/<script|<link|<img|<iframe|\ssrc=|\son\w+=|style="|url\(|@import/);
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
    const blocks: string[] = [];
    for (const example of examples) {
      const env = await variables(example);
      const constants = Object.keys(env).map((name) => `const ${camelCase(name)} = env.${name};`);
      blocks.push(`console.log(${JSON.stringify(example.operation)});
Object.assign(env, ${JSON.stringify(env)});
{ ${setUp!}\n${constants.join("\n")}\n{ ${example.client} } }`);
    }
    const ran = await run(process.execPath, ["--input-type=module", "-e", [imports!, ...blocks].join("\n")], {});
    expect([ran.err, ran.code]).toEqual(["", 0]);
    expect(ran.out.trim().split("\n")).toEqual(examples.map(({ operation }) => operation));
  });
});

const camelCase = (name: string): string =>
  name.toLowerCase().replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

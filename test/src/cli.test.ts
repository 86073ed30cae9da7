// The command line against the real services: what operators and backends type, the exit codes, and --json held against the API's schemas.

import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type ChannelName, createClient } from "@outcry/client";
import {
  ApiKeyView,
  check,
  Event,
  ExplainView,
  IntentAccepted,
  IntentView,
  NodeRecord,
  QuotesView,
  RotationStarted,
  SigningKeyView,
  TimelineView,
  TokenCreated,
  WebhookCreated,
} from "@outcry/protocol";
import WebSocket from "ws";
import { eventually } from "./in-process.js";
import { CliWorld } from "./outcry-commands.js";
import { Receiver } from "./receiver.js";

const SHOES = ["--query", "red running shoes", "--category", "apparel", "--region", "DE"];

let world: CliWorld;
let folder: string;
let backendKey: string;
let backendId: string;
let cheap: string;
let unwilling: string;
let intentId: string;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "outcry-test-cli-"));
  world = await CliWorld.start();
  const key = await world.admin.createApiKey({ role: "backend", name: "shop" });
  [backendKey, backendId] = [key.secret, key.backend_id!];
  [cheap, unwilling] = await Promise.all([
    world.seller("cheap", (_intent, context) => context.quote({ amountMinor: 6_000 })),
    world.seller("unwilling", (_intent, context) => context.decline("no_inventory")),
  ]);
});
afterAll(async () => {
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const asBackend = (...args: string[]) => world.outcry(args, { key: backendKey });
const fits = (schema: Parameters<typeof check>[0], value: unknown) =>
  expect(check(schema, value)).toMatchObject({ kind: "ok" });

describe("outcry intent", () => {
  test("send --wait tells each node's answer as it comes, and the ranking at the end", async () => {
    const ran = await asBackend("intent", "send", ...SHOES, "--wait");
    expect(ran).toMatchObject({ code: 0, err: "" });
    intentId = /^(int_\w+) {2}2 nodes/.exec(ran.out)![1]!;
    expect(ran.out).toContain(`self     ${world.stack.url}/v1/intents/${intentId}`);
    expect(ran.out).toMatch(new RegExp(`^${unwilling} +declined +no_inventory`, "m"));
    expect(ran.out).toMatch(new RegExp(`^${cheap} +ranked +60\\.00 EUR`, "m"));
    expect(ran.out).toMatch(new RegExp(`^1 +60\\.00 EUR +firm +\\d+ +${cheap}`, "m"));
    expect(ran.out).toContain("closed  1 ranked, 0 not ranked");
  });

  test("--json prints the API's own shapes, a line each", async () => {
    const [accepted, ...rest] = (await asBackend("intent", "send", ...SHOES, "--wait", "--json")).lines();
    fits(IntentAccepted, accepted);
    const quotes = rest.filter((line) => "rank" in line);
    for (const quote of quotes) fits(QuotesView.properties.quotes.items, quote);
    expect(quotes).toHaveLength(1);
    const events = rest.filter((line) => "type" in line);
    for (const event of events) fits(Event, event);
    expect(events.at(-1)).toMatchObject({ type: "INTENT_CLOSED" });
    fits(IntentView, (await asBackend("intent", "get", intentId, "--json")).lines()[0]);
    fits(TimelineView, (await asBackend("intent", "timeline", intentId, "--json")).lines()[0]);
    fits(ExplainView, (await asBackend("intent", "explain", intentId, "--node", cheap, "--json")).lines()[0]);
    for (const line of (await world.outcry(["node", "ls", "--json"])).lines()) fits(NodeRecord, line);
    fits(NodeRecord, (await world.outcry(["node", "inspect", cheap, "--json"])).lines()[0]);
    for (const line of (await world.outcry(["api-key", "ls", "--json"])).lines()) fits(ApiKeyView, line);
    fits(TokenCreated, (await asBackend("token", "gen", "--buyer", "42", "--json")).lines()[0]);
  });

  test("tail shows every event of an intent that has ended, and --cursor goes on behind the last one seen", async () => {
    const ran = await asBackend("intent", "tail", intentId, "--json");
    const types = ran.lines().map(({ type }) => type);
    expect([types[0], types.at(-1)]).toEqual(["INTENT_CREATED", "INTENT_CLOSED"]);
    for (const line of ran.lines()) fits(Event, line);
    const { realtime } = createClient({ url: world.stack.url, apiKey: backendKey, WebSocket });
    const channel = realtime.channel(`intent:${intentId}`, { from: "start" });
    const { value: first } = await channel[Symbol.asyncIterator]().next();
    if (first?.kind !== "event") throw new Error(JSON.stringify(first));
    const { cursor } = first;
    await channel.close();
    const resumed = await asBackend("intent", "tail", intentId, "--cursor", cursor, "--json");
    expect(resumed.lines().map(({ type }) => type)).toEqual(types.slice(1));
  });

  test("explain says why a node was asked, timeline when everything happened", async () => {
    const asked = await asBackend("intent", "explain", intentId, "--node", cheap);
    expect(asked.out).toMatch(new RegExp(`^${cheap}  selected`));
    const timeline = await asBackend("intent", "timeline", intentId);
    expect(timeline.out).toMatch(/^ +\d+ ms {2}INTENT_CREATED/m);
    expect(timeline.out).toMatch(new RegExp(`^${unwilling}  declined$`, "m"));
    expect(timeline.out).toMatch(/^ +\d+ ms {2}ack declined: no_inventory$/m);
  });
});

describe("outcry node", () => {
  test("top --once counts what each node did, with its ack latency", async () => {
    const rows = (await world.outcry(["node", "top", "--once", "--json"])).lines();
    expect(rows.find(({ node_id }) => node_id === cheap)).toMatchObject({ quoted: 2, declined: 0, dead: 0 });
    expect(rows.find(({ node_id }) => node_id === unwilling)).toMatchObject({
      declined: 2,
      quoted: 0,
      ack_ms: { p50: expect.any(Number) },
    });
    const table = await world.outcry(["node", "top", "--once"]);
    expect(table.out).toMatch(/^NODE +NAME +ACKS +QUOTES +DECLINES/);
    expect(table.out).toMatch(new RegExp(`^${cheap} +cheap `, "m"));
  });

  test("top without --once prints plain lines into a pipe until it is interrupted", async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 700);
    const ran = await world.outcry(["node", "top", "--interval-ms", "200", "--from-start"], { signal: stop.signal });
    expect(ran.out.match(/^NODE /gm)!.length).toBeGreaterThan(1);
    expect(ran.out).not.toContain("\u001b");
  });

  test("top of a backend needs to be told whose feed, an id that only admins may list", async () => {
    expect(await asBackend("node", "top", "--once")).toMatchObject({
      code: 2,
      err: expect.stringContaining("--backend is missing"),
    });
    expect((await asBackend("node", "top", "--once", "--backend", backendId)).out).toContain(cheap);
  });
});

describe("outcry token", () => {
  test("inspect verifies a token and judges channels as the gateway does", async () => {
    const other = await world.admin.createApiKey({ role: "backend", name: "other" });
    const args = [
      "token",
      "gen",
      "--buyer",
      "42",
      "--channel",
      "buyer:42",
      "--channel",
      `intent:${intentId}`,
      "--json",
    ];
    const { token } = (await asBackend(...args)).lines()[0]!;
    const good = await world.outcry(["token", "inspect", "-"], { key: "", input: `${String(token)}\n` });
    expect(good).toMatchObject({ code: 0, err: "" });
    expect(good.out).toMatch(new RegExp(`^buyer 42 of ${backendId}\nsignature {2}valid\nuntil`));
    const channels = ["buyer:42", `intent:${intentId}`, "buyer:43", `backend:${other.backend_id!}`, `node:${cheap}`];
    const asked = channels.flatMap((channel) => ["--channel", channel]);
    const judged = await world.outcry(["token", "inspect", String(token), ...asked, "--json"]);
    expect(judged.code).toBe(6);
    const opens = (judged.lines()[0]!["channels"] as { opens: boolean }[]).map((verdict) => verdict.opens);
    expect(opens).toEqual(await Promise.all(channels.map((channel) => gatewayOpens(String(token), channel))));
  });

  test("inspect ends with 6 for a token that was changed or is another service's, and says which", async () => {
    const { token } = (await asBackend("token", "gen", "--buyer", "42", "--json")).lines()[0] as { token: string };
    const [header, , signature] = token.split(".");
    const claims = { ...JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString()), sub: "43" };
    const forged = [header, Buffer.from(JSON.stringify(claims)).toString("base64url"), signature].join(".");
    expect(await world.outcry(["token", "inspect", forged])).toMatchObject({
      code: 6,
      err: expect.stringContaining("the signature is not of this token"),
    });
    expect((await world.outcry(["token", "inspect", "no.token"])).code).toBe(2);
  });
});

async function gatewayOpens(token: string, channel: string): Promise<boolean> {
  const { realtime } = createClient({ url: world.stack.url, getToken: () => token, WebSocket });
  const opened = realtime.channel(channel as ChannelName, { signal: AbortSignal.timeout(5_000) });
  const opens = await opened.ready().then(
    () => true,
    () => false,
  );
  await realtime.close();
  return opens;
}

describe("outcry keys", () => {
  test("gen makes a file for its owner alone, prints the public half only, and never replaces one", async () => {
    const file = path.join(folder, "signing-key.json");
    const made = await world.outcry(["keys", "gen", file, "--json"], { key: "" });
    expect(made.code).toBe(0);
    expect(made.lines()[0]).toEqual({ kid: expect.any(String), kty: "OKP", crv: "Ed25519", x: expect.any(String) });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await world.outcry(["keys", "gen", file])).toMatchObject({
      code: 2,
      err: expect.stringContaining("exists"),
    });
    expect((await world.outcry(["keys", "jwks"])).out).toMatch(/EdDSA +Ed25519/);
  });
});

describe("outcry keys rotate", () => {
  test("publishes a new key at once, which signs after the lead; revoke takes one out of the key set", async () => {
    const signing = async () =>
      (await world.outcry(["keys", "ls", "--json"])).lines() as { kid: string; status: string }[];
    const [before] = await signing();
    fits(SigningKeyView, before);
    expect((await world.outcry(["keys", "rotate", "--dry-run"])).out).toContain(`signing now: ${before!.kid}`);
    expect(await signing()).toHaveLength(1);
    const started = await world.outcry(["keys", "rotate", "--lead-ms", "200", "--json"]);
    fits(RotationStarted, started.lines()[0]);
    const after = await eventually(async () => {
      const found = await signing();
      return found.find(({ kid, status }) => kid !== before!.kid && status === "signing") && found;
    });
    expect(after.find(({ kid }) => kid === before!.kid)!.status).toBe("retiring");
    expect((await world.outcry(["keys", "revoke", before!.kid, "--dry-run"])).out).toContain("would be revoked");
    expect((await world.outcry(["keys", "revoke", before!.kid])).out).toBe(`${before!.kid}  revoked\n`);
    await eventually(async () => !(await world.outcry(["keys", "jwks"])).out.includes(before!.kid));
    expect((await world.outcry(["keys", "revoke", "no-such-key"])).code).toBe(4);
    expect((await asBackend("keys", "rotate")).code).toBe(3);
  });
});

describe("outcry bench", () => {
  test("measures a small load from the client's own clock, saves it, and compares two runs", async () => {
    const [before, after] = [path.join(folder, "before.json"), path.join(folder, "after.json")];
    const load = ["bench", "--rate", "20", "--duration", "1", "--category", "apparel", "--region", "DE"];
    expect((await asBackend(...load, "--dry-run")).out).toContain("would post 20 real intents");
    const first = await asBackend(...load, "--save", before, "--json");
    expect(first.lines()[0]).toMatchObject({ posts: 20, accepted: 20, failed: {}, incomplete: 0 });
    expect(first.lines()[0]).toMatchObject({
      post_ms: { p99: expect.any(Number) },
      last_ack_ms: { p50: expect.any(Number) },
    });
    const second = await asBackend(...load, "--save", after);
    expect(second.out).toMatch(/^POST → last ack heard +p50 [\d.]+ ms/m);
    const compared = await world.outcry(["bench", "compare", before, after]);
    expect(compared).toMatchObject({ code: 0 });
    expect(compared.out).toMatch(/^POST → 202 p99 +[\d.]+ ms +[\d.]+ ms +[\d.]+$/m);
    expect((await world.outcry(["bench", "compare", before, path.join(folder, "none")])).code).toBe(2);
  });

  test("says what was refused instead of measuring nothing", async () => {
    const ran = await asBackend("bench", "--rate", "5", "--duration", "1", "--category", "nobody-sells-this");
    expect(ran).toMatchObject({ code: 6, err: expect.stringContaining("no intent was accepted") });
    expect(ran.out).toContain("failed: no_eligible_nodes 5");
  });
});

describe("the exit code", () => {
  test.each([
    [1, "the service refuses", () => asBackend("intent", "cancel", intentId)],
    [2, "the command line is wrong", () => asBackend("intent", "send")],
    [3, "the key is wrong", () => world.outcry(["node", "ls"], { key: "ock_wrong" })],
    [3, "the role may not", () => asBackend("node", "ls")],
    [4, "there is no such intent", () => asBackend("intent", "get", "int_01kah0000000000000000000")],
    [5, "nobody answers", () => world.outcry(["keys", "jwks", "--url", "http://127.0.0.1:9"])],
    [6, "a check failed", () => world.outcry(["doctor", "--url", "http://127.0.0.1:9"])],
  ] as const)("is %d when %s", async (code, _why, run) => {
    expect((await run()).code).toBe(code);
  });
});

describe("outcry events and webhook", () => {
  test("tail prints the feed from a cursor on, and where to go on", async () => {
    const first = await asBackend("events", "tail", "--count", "2");
    expect(first).toMatchObject({ code: 0, err: "" });
    const cursor = /go on with: --after (\S+)/.exec(first.out)![1]!;
    const ran = await asBackend("events", "tail", "--after", cursor, "--count", "1", "--json");
    const { event, cursor: next } = JSON.parse(ran.out) as { event: Event; cursor: string };
    fits(Event, event);
    expect(next).not.toBe(cursor);
    expect(await asBackend("events", "tail", "--type", "NOTHING")).toMatchObject({ code: 2 });
  });

  test("a webhook is made, tested, looked at, given a new secret, sent to again, and deleted", async () => {
    const to = await new Receiver().open();
    try {
      const made = await asBackend("webhook", "create", to.url, "--type", "INTENT_CLOSED", "--json");
      fits(WebhookCreated, made.lines()[0]);
      const id = made.lines()[0]!["id"] as string;
      expect((await asBackend("webhook", "ls")).out).toMatch(new RegExp(`${id} +enabled +INTENT_CLOSED +${to.url}`));
      expect((await asBackend("webhook", "test", id)).out).toMatch(/^delivered {2}204 {2}\d+ ms\n$/);
      expect((await asBackend("webhook", "attempts", id)).out).toMatch(/test +204 +\d+ +1 +WEBHOOK_TEST/);
      expect((await asBackend("webhook", "rotate-secret", id)).out).toMatch(/^secret {2}whsec_/);
      const recover = ["webhook", "recover", id, "--since", new Date(Date.now() - 60_000).toISOString()];
      expect(await asBackend(...recover)).toMatchObject({ code: 0, err: "" });
      expect((await asBackend("webhook", "rm", id, "--dry-run")).out).toContain(`would be deleted: ${id}`);
      expect((await asBackend("webhook", "rm", id)).out).toBe(`${id}  deleted\n`);
      for (const verb of ["attempts", "test", "rotate-secret", "rm"])
        expect([verb, (await asBackend("webhook", verb, id)).code]).toEqual([verb, 4]);
      expect(await asBackend("webhook", "recover", id)).toMatchObject({ code: 2 });
      expect(await asBackend("webhook", "create", to.url, "--type", "NOTHING")).toMatchObject({ code: 2 });
    } finally {
      await to.close();
    }
  });
});

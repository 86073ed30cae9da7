// The service's signing keys on real servers: rotated under load, revoked at once (ADR-9). What others verify with is what is served.

import { createHash } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createLocalJWKSet, flattenedVerify, type JSONWebKeySet } from "jose";
import type { IntentView, SigningKeyView, TokenCreated } from "@outcry/protocol";
import { createClient } from "@outcry/client";
import { loadKeyFile, signEnvelope } from "@outcry/signing";
import { anIntent, type Backend } from "./api-calls.js";
import { eventually, type Market, startMarket } from "./in-process.js";

const LEAD_MS = 400;

let market: Market;
let backend: Backend;

beforeAll(async () => {
  market = await startMarket();
  backend = await market.backend();
});
afterAll(() => market.stop());

interface Rows {
  data: SigningKeyView[];
}
const list = async () => (await market.admin<Rows>("GET", "/v1/signing-keys")).body.data;
const withStatus = async (status: SigningKeyView["status"]) => (await list()).filter((row) => row.status === status);
const keySet = async () => (await market.as(undefined)<JSONWebKeySet>("GET", "/.well-known/jwks.json")).body;
const viewOf = async (id: string) => (await backend.call<IntentView>("GET", `/v1/intents/${id}`)).body;

const kidOf = ({ signature }: IntentView): string => {
  const header = JSON.parse(Buffer.from(signature.split(".")[0]!, "base64url").toString()) as { kid: string };
  return header.kid;
};

/** Stock jose, with nothing but the served keys. */
async function joseVerifies(view: IntentView, keys: JSONWebKeySet): Promise<boolean> {
  const [header, , signature] = view.signature.split(".") as [string, string, string];
  const stored = await market.last("INTENTS", `ucp.v1.intent.${view.id}`);
  const { envelope } = JSON.parse(new TextDecoder().decode(stored!.data)) as { envelope: string };
  const jws = { protected: header, payload: Buffer.from(envelope).toString("base64url"), signature };
  return flattenedVerify(jws, createLocalJWKSet(keys)).then(
    () => true,
    () => false,
  );
}

describe("a rotation under load", () => {
  test("loses no intent and refuses no quote; old and new signatures verify with the served keys", async () => {
    const quoted = new Map<string, string>();
    const faults: string[] = [];
    const sellers = await Promise.all(
      [1, 2, 3].map((nth) => market.seller(async (_intent, context) => context.quote({ amountMinor: nth }))),
    );
    for (const seller of sellers) {
      seller.on("quote", ({ quoteId, outcome }) => quoted.set(quoteId, outcome.kind));
      seller.on("error", ({ error }) => faults.push(String(error)));
    }
    const targets = sellers.map(({ id }) => id);
    const before = (await withStatus("signing"))[0]!.kid;

    const ids: string[] = [];
    const load = new AbortController();
    const posting = (async () => {
      while (!load.signal.aborted) ids.push(await backend.broadcast({ ...anIntent, routing: { targets } }));
    })();
    await sleep(200);
    const started = await market.admin<{ signs_from: string }>("POST", "/v1/signing-keys", { lead_ms: LEAD_MS });
    expect(started.status).toBe(202);
    const next = (await withStatus("next"))[0]!.kid;
    expect((await keySet()).keys.map(({ kid }) => kid)).toEqual(expect.arrayContaining([before, next]));
    await eventually(async () => (await withStatus("signing"))[0]?.kid === next);
    await sleep(300);
    load.abort();
    await posting;

    const views = await Promise.all(ids.map(viewOf));
    const kids = new Set(views.map(kidOf));
    expect(kids).toEqual(new Set([before, next]));
    expect(views.filter((view) => kidOf(view) === next && view.created < started.body.signs_from)).toEqual([]);
    const keys = await keySet();
    expect(await Promise.all(views.map((view) => joseVerifies(view, keys)))).toEqual(views.map(() => true));
    await eventually(() => quoted.size === 3 * ids.length);
    expect([...new Set(quoted.values())]).toEqual(["stored"]);
    expect(faults).toEqual([]);
    for (const id of ids.slice(-3)) expect((await market.quotesOf(backend, id, 3)).quotes).toHaveLength(3);
    expect((await list()).find(({ kid }) => kid === before)).toMatchObject({
      status: "retiring",
      retires: expect.stringMatching(/^20/),
    });
  });

  test("keeps a buyer's token that the old key signed", async () => {
    const channels = ["buyer:42"];
    const made = await backend.call<TokenCreated>("POST", "/v1/tokens", { buyer_id: "42", channels });
    await market.admin("POST", "/v1/signing-keys", { lead_ms: 0 });
    const { kid } = JSON.parse(Buffer.from(made.body.token.split(".")[0]!, "base64url").toString()) as { kid: string };
    expect(await withStatus("signing")).not.toContainEqual(expect.objectContaining({ kid }));
    expect((await market.as(made.body.token)("GET", "/v1/api-keys")).status).toBe(403); // known, and not allowed
  });

  test("leaves one private key in the folder, for its owner alone", async () => {
    const files = readdirSync(market.dataDir).filter((file) => file.startsWith("signing-key"));
    expect(files).toEqual(["signing-key.json"]);
    expect(statSync(path.join(market.dataDir, files[0]!)).mode & 0o777).toBe(0o600);
  });
});

describe("a revoked key", () => {
  test("leaves the key set, its tokens are refused, and nodes refuse what it signed within two seconds", async () => {
    const heard: string[] = [];
    const refused: string[] = [];
    const seller = await market.seller(async (intent) => void heard.push(intent.id));
    seller.on("error", ({ error }) => refused.push(String(error)));
    const stolen = loadKeyFile(path.join(market.dataDir, "signing-key.json"));
    const token = await backend.call<TokenCreated>("POST", "/v1/tokens", { buyer_id: "42", channels: ["buyer:42"] });
    const genuine = await backend.broadcast({ ...anIntent, routing: { targets: [seller.id] } });
    await eventually(() => heard.includes(genuine));

    expect((await market.admin("DELETE", `/v1/signing-keys/${stolen.kid}`)).status).toBe(204);
    const revokedAt = Date.now();
    expect((await keySet()).keys.map(({ kid }) => kid)).not.toContain(stolen.kid);
    expect((await market.as(token.body.token)("GET", "/v1/api-keys")).status).toBe(401);

    // What a thief of the key sends, as the service's own NATS user: the signature alone is in its way.
    const forge = async (): Promise<void> => {
      const stored = await market.last("INTENTS", `ucp.v1.intent.${genuine}`);
      const { envelope } = JSON.parse(new TextDecoder().decode(stored!.data)) as { envelope: string };
      const id = `int_${createHash("sha256").update(String(Math.random())).digest("hex").slice(0, 26).replace(/^./, "0")}`;
      const bytes = Buffer.from(envelope.replaceAll(genuine, id));
      const headers = { "Outcry-Signature": signEnvelope(bytes, "intent", stolen).jws };
      market.broadcast.platform.backbone.publish(`ucp.v1.node.${seller.id}.intent`, bytes, { headers });
    };
    await eventually(async () => {
      refused.length = 0;
      await forge();
      await sleep(50);
      return refused.some((text) => text.includes("key_unknown"));
    }, 2_000);
    expect(Date.now() - revokedAt).toBeLessThan(2_000);

    // The service took another key by itself.
    const after = await backend.broadcast({ ...anIntent, routing: { targets: [seller.id] } });
    expect(kidOf(await viewOf(after))).not.toBe(stolen.kid);
    await eventually(() => heard.includes(after));
    expect(market.broadcast.checks()["signing"]).toMatchObject({ ok: true });
  });

  test("is listed, rotated and revoked through @outcry/client too", async () => {
    const client = createClient({ url: market.url, apiKey: market.broadcast.adminKey! });
    const { generation } = await client.signingKeys.rotate({ leadMs: 0 });
    const { data } = await client.signingKeys.list();
    expect(data.filter(({ status }) => status === "signing")).toHaveLength(1);
    expect(generation).toBeGreaterThan(1);
    const old = data.find(({ status }) => status === "retiring")!;
    await client.signingKeys.revoke(old.kid);
    expect((await withStatus("revoked")).map(({ kid }) => kid)).toContain(old.kid);
  });

  test("that nobody has is not found", async () => {
    const { status, body } = await market.admin("DELETE", "/v1/signing-keys/nobody");
    expect([status, body.code]).toEqual([404, "signing_key_not_found"]);
  });
});

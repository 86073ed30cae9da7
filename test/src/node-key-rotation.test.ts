// A node's signing key on real servers: rotated while intents arrive, cut off between any two steps, and what a stranger may not do.

import { copyFileSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createNode, type SellerNode } from "@outcry/node";
import {
  canonicalize,
  newNonce,
  newTraceId,
  type NodeRecord,
  PROTOCOL,
  PROTOCOL_VERSION,
  type QuotesView,
  quoteId,
} from "@outcry/protocol";
import { generateKey, loadKeyFile, publicJwk, signEnvelope, type SigningKey } from "@outcry/signing";
import { anIntent, type Backend } from "./api-calls.js";
import { eventually, inMs, type Market, startMarket } from "./in-process.js";
import { connectRaw, type RawNode } from "./raw-node.js";

let market: Market;
let backend: Backend;
let silent: RawNode; // keeps intents open
const folders: string[] = [];
const running: SellerNode[] = [];

beforeAll(async () => {
  market = await startMarket();
  backend = await market.backend();
  silent = await connectRaw(market);
});
afterAll(async () => {
  await Promise.all(running.map((node) => node.drain({ timeoutMs: 500 })));
  await market.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "outcry-node-"));
  folders.push(folder);
  return folder;
}

async function invite(): Promise<string> {
  return (await market.admin<{ invite: string }>("POST", "/v1/invites", {})).body.invite;
}

interface Started {
  node: SellerNode;
  id: string;
  outcomes: Map<string, string>;
}

/** As a seller runs it, from a folder of its own; `reach` is its way to the API. */
async function start(stateDir: string, reach: typeof fetch = fetch): Promise<Started> {
  const outcomes = new Map<string, string>();
  const node = createNode({
    url: market.url,
    stateDir,
    invite: existsSync(path.join(stateDir, "node.json")) ? "" : await invite(),
    registration: { name: "seller", categories: ["*"], regions: ["*"] },
    fetch: reach,
  })
    .onIntent(async (_intent, context) => context.quote({ amountMinor: 4_200 }))
    .on("quote", ({ quoteId: id, outcome }) => outcomes.set(id, outcome.kind));
  running.push(node);
  const { nodeId } = await node.start();
  return { node, id: nodeId, outcomes };
}

const recordOf = async (id: string) => (await market.admin<NodeRecord>("GET", `/v1/nodes/${id}`)).body;
const kidsOf = async (id: string) => (await recordOf(id)).public_keys.map(({ kid }) => kid);
const keyIn = (folder: string): SigningKey => loadKeyFile(path.join(folder, "signing-key.json"));

const broadcast = (id: string) => backend.broadcast({ ...anIntent, routing: { targets: [id, silent.id] } });

/** One intent that it quotes, and whose quote counts. */
async function expectToTrade({ id }: Started): Promise<void> {
  const intent = await broadcast(id);
  const view = await market.quotesOf(backend, intent, 1);
  expect([view.quotes.length, view.unranked]).toEqual([1, []]);
}

describe("rotateKey()", () => {
  test("under a load of intents loses no intent and has no quote refused", async () => {
    const folder = newFolder();
    const started = await start(folder);
    const before = keyIn(folder).kid;
    const load = new AbortController();
    const ids: string[] = [];
    const posting = (async () => {
      while (!load.signal.aborted) ids.push(await broadcast(started.id));
    })();
    const made: string[] = [];
    for (let nth = 0; nth < 3; nth++) {
      await eventually(() => ids.length > 10 * (nth + 1));
      made.push((await started.node.rotateKey()).kid);
    }
    load.abort();
    await posting;
    await eventually(() => started.outcomes.size === ids.length);
    expect([...new Set(started.outcomes.values())]).toEqual(["stored"]);
    for (const id of ids) {
      const view: QuotesView = await market.quotesOf(backend, id, 1);
      expect([view.quotes.length, view.unranked]).toEqual([1, []]);
    }
    expect(keyIn(folder).kid).toBe(made.at(-1));
    expect(statSync(path.join(folder, "signing-key.json")).mode & 0o777).toBe(0o600);
    await eventually(async () => (await kidsOf(started.id)).length === 1);
    const { public_keys, retired_keys } = await recordOf(started.id);
    expect(public_keys.map(({ kid }) => kid)).toEqual([made.at(-1)]);
    expect(retired_keys?.map(({ kid }) => kid)).toEqual([before, made[0], made[1]]);
    await expectToTrade(started);
  });

  test("retires the old key only when the intents that may use it have ended", async () => {
    const folder = newFolder();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const node = createNode({
      url: market.url,
      stateDir: folder,
      invite: await invite(),
      registration: { name: "slow", categories: ["*"], regions: ["*"] },
    }).onIntent(async (_intent, context) => {
      await held;
      return context.quote({ amountMinor: 1 });
    });
    running.push(node);
    const { nodeId } = await node.start();
    const before = keyIn(folder).kid;
    const id = await broadcast(nodeId);
    await eventually(() => node.health().running === 1);
    const { kid } = await node.rotateKey();
    await node.rotateKey();
    expect(await kidsOf(nodeId)).toEqual(expect.arrayContaining([before, kid]));
    release();
    expect((await market.quotesOf(backend, id, 1)).quotes).toHaveLength(1);
    await eventually(async () => (await kidsOf(nodeId)).length === 1);
  });
});

describe("a rotation that is cut off", () => {
  /** Lets the calls through until one fits, which is answered by nothing; `after`: it reached the service. */
  const losing = (method: string, pattern: RegExp, when: "before" | "after"): typeof fetch => {
    let lost = false;
    return async (input, init) => {
      const hit = !lost && init?.method === method && pattern.test(input as string);
      if (!hit) return fetch(input, init);
      lost = true;
      if (when === "after") await fetch(input, init);
      throw new TypeError("the process died here");
    };
  };

  const cuts: [name: string, reach: () => typeof fetch, andThen?: (folder: string) => void][] = [
    ["before the service heard of the new key", () => losing("POST", /\/keys$/, "before")],
    ["after the service has it, before the node knows", () => losing("POST", /\/keys$/, "after")],
    [
      "after the old key was written down, before the files were exchanged",
      () => losing("POST", /\/keys$/, "after"),
      (folder) =>
        writeFileSync(path.join(folder, "signing-key.json.retiring"), JSON.stringify({ kids: [keyIn(folder).kid] })),
    ],
    [
      "after the files were exchanged, before the node signs with it",
      () => losing("POST", /\/keys$/, "after"),
      (folder) => {
        writeFileSync(path.join(folder, "signing-key.json.retiring"), JSON.stringify({ kids: [keyIn(folder).kid] }));
        copyFileSync(path.join(folder, "signing-key.json.next"), path.join(folder, "signing-key.json"));
        rmSync(path.join(folder, "signing-key.json.next"));
      },
    ],
  ];
  for (const [name, reach, andThen] of cuts) {
    test(`${name} leaves a node that starts, trades, and rotates again`, async () => {
      const folder = newFolder();
      const first = await start(folder, reach());
      await expect(first.node.rotateKey()).rejects.toMatchObject({ code: "dependency_unavailable" });
      await expectToTrade(first);
      await first.node.drain();
      andThen?.(folder);

      const second = await start(folder);
      expect(second.id).toBe(first.id);
      await expectToTrade(second);
      const { kid } = await second.node.rotateKey();
      await expectToTrade(second);
      await eventually(async () => (await kidsOf(first.id)).length === 1);
      expect(await kidsOf(first.id)).toEqual([kid]);
    });
  }

  test("before the old key is retired retires it at the next start", async () => {
    const folder = newFolder();
    const unreachable: typeof fetch = async (input, init) => {
      if (init?.method === "DELETE") throw new TypeError("the process died here");
      return fetch(input, init);
    };
    const first = await start(folder, unreachable);
    const { kid } = await first.node.rotateKey();
    await first.node.drain();
    expect(await kidsOf(first.id)).toHaveLength(2);
    const second = await start(folder);
    await eventually(async () => (await kidsOf(first.id)).length === 1);
    expect(await kidsOf(first.id)).toEqual([kid]);
    await expectToTrade(second);
  });
});

describe("POST and DELETE /v1/nodes/{id}/keys", () => {
  async function envelopeFor(id: string, added: SigningKey): Promise<Uint8Array> {
    const asked = await market.as(undefined)<{ challenge: string }>("POST", `/v1/nodes/${id}/credentials/challenge`);
    return canonicalize({
      protocol: PROTOCOL,
      version: PROTOCOL_VERSION,
      type: "node-key",
      id: newNonce(),
      trace_id: newTraceId(),
      sender: { id },
      audience: "outcry",
      created: inMs(0),
      expires: inMs(60_000),
      nonce: newNonce(),
      payload: { node_id: id, challenge: asked.body.challenge, public_key: publicJwk(added) },
    });
  }
  const send = (id: string, bytes: Uint8Array, by: SigningKey, proofBy: SigningKey, type = "node-key") =>
    market.as(undefined)("POST", `/v1/nodes/${id}/keys`, {
      envelope: new TextDecoder().decode(bytes),
      signature: signEnvelope(bytes, type, by).jws,
      proof: signEnvelope(bytes, type, proofBy).jws,
    });

  test("need the old key, the new key, a fresh challenge and the right type", async () => {
    const node = await market.register();
    const [added, stranger] = [generateKey(), generateKey()];
    const bytes = await envelopeFor(node.id, added);
    expect(await send(node.id, bytes, stranger, added)).toMatchObject({ status: 401, body: { code: "key_unknown" } });
    expect(await send(node.id, bytes, node.key, stranger)).toMatchObject({
      status: 401,
      body: { code: "key_unknown" },
    });
    expect(await send(node.id, bytes, node.key, added, "credentials")).toMatchObject({ status: 401 });
    expect((await send(node.id, bytes, node.key, added)).status).toBe(201);
    expect(await send(node.id, bytes, node.key, added)).toMatchObject({ status: 401, body: { code: "nonce_invalid" } });
    expect(await kidsOf(node.id)).toEqual([node.key.kid, added.kid]);

    const other = await market.register();
    const foreign = await envelopeFor(node.id, stranger);
    expect((await send(other.id, foreign, other.key, stranger)).status).toBe(401);
  });

  test("keep the last key, and take no name of a retired one", async () => {
    const node = await market.register();
    const remove = (kid: string) => market.admin("DELETE", `/v1/nodes/${node.id}/keys/${kid}`);
    expect(await remove(node.key.kid)).toMatchObject({ status: 409, body: { code: "node_key_last" } });
    expect(await remove("nobody")).toMatchObject({ status: 404, body: { code: "node_key_not_found" } });
    const added = generateKey();
    await send(node.id, await envelopeFor(node.id, added), node.key, added);
    expect((await remove(node.key.kid)).status).toBe(200);
    expect((await remove(node.key.kid)).status).toBe(200); // repeated
    const again = await send(node.id, await envelopeFor(node.id, node.key), added, node.key);
    expect(again).toMatchObject({ status: 400, body: { code: "key_unacceptable" } });
  });

  test("let a quote count that was stored before its key was retired, and none that came after", async () => {
    const node = await connectRaw(market);
    const id = await broadcast(node.id);
    const heard = await node.hears(id);
    const added = generateKey();
    await send(node.id, await envelopeFor(node.id, added), node.key, added);
    expect(await node.ask(id, node.quote(heard))).toMatchObject({ kind: "stored" });
    expect((await market.admin("DELETE", `/v1/nodes/${node.id}/keys/${node.key.kid}`)).status).toBe(200);
    await eventually(async () => (await market.quotesOf(backend, id, 1)).quotes.length === 1);
    expect(
      await node.ask(
        id,
        node.quote(heard, { amountMinor: 1 }, (one) => one, 1),
      ),
    ).toMatchObject({ kind: "stored" });
    const after = await market.quotesOf(backend, id, 2);
    expect(after.unranked).toMatchObject([{ quote_id: quoteId(id, node.id, 1), code: "key_unknown" }]);
    expect(after.quotes).toHaveLength(1);
  });
});

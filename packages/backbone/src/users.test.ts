import { silentLog, systemClock } from "@outcry/protocol";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { mintNodeUser } from "./auth.js";
import { startGuarded } from "./guarded.fixture.js";
import type { Guarded } from "./guarded.fixture.js";
import { checkNodePublicKey, newKeyPair } from "./jwt.js";
import { openBucket } from "./kv.js";
import { bytes, eventually, text } from "./nats-server.fixture.js";
import { readBatch, streamHead } from "./read.js";
import { ensureStreams } from "./streams.js";

const clock = systemClock;
let guarded: Guarded;

beforeAll(async () => {
  guarded = await startGuarded();
});
afterAll(() => guarded.stop());

describe("our own users", () => {
  test("the gateway reads events and access, hears the live feed, and can do nothing else", async () => {
    const service = await guarded.as("service");
    await ensureStreams(service, { replicas: 1, region: "local" });
    const gateway = await guarded.as("gateway");
    const live: string[] = [];
    gateway.subscribe("live.*.rt.>", (message) => void live.push(message.subject));
    await gateway.flush();
    await service.request("rt.intent.x.-.int_1", bytes("event"));
    await eventually(() => live.length === 1);
    expect((await readBatch(gateway, "EVENTS", { seq: 1 })).messages).toHaveLength(1);
    expect((await streamHead(gateway, "EVENTS")).lastSeq).toBe(1);
    const access = openBucket(gateway, "access", { log: silentLog });
    await openBucket(service, "access", { log: silentLog }).put("k", bytes("v"));
    expect(text((await access.get("k"))!.value)).toBe("v");
    const seen: string[] = [];
    const watching = access.watch({ onEntry: (entry) => void seen.push(entry.key) });
    await watching.ready;
    watching.stop();
    expect(seen).toEqual(["k"]);
    await expect(access.put("k", bytes("mine"))).rejects.toThrow("permission_denied");
    await expect(readBatch(gateway, "INTENTS", { seq: 1 })).rejects.toThrow("permission_denied");
    await expect(gateway.request("rt.intent.x.-.int_1", bytes("forged"))).rejects.toThrow("permission_denied");
    expect((await streamHead(service, "EVENTS")).lastSeq).toBe(1);
  });
});

describe("keys", () => {
  test("a node's NATS key is checked for form, checksum and order", () => {
    const { publicKey, seed } = newKeyPair("user");
    expect(checkNodePublicKey(publicKey)).toEqual({ kind: "ok", publicKey });
    const flipped = publicKey.slice(0, 20) + (publicKey[20] === "A" ? "B" : "A") + publicKey.slice(21);
    for (const wrong of [
      flipped,
      seed,
      publicKey.toLowerCase(),
      `${publicKey}A`,
      newKeyPair("account").publicKey,
      "",
      "U",
    ]) {
      expect(checkNodePublicKey(wrong).kind).toBe("refused");
    }
    // y = 1: anybody can sign for it. The checksum is right.
    expect(checkNodePublicKey("UAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADYT")).toMatchObject({
      kind: "refused",
    });
  });

  test("minting is no hot-path trap: it costs a fraction of a millisecond, not the 37 ms of pure JavaScript", () => {
    const { publicKey } = newKeyPair("user");
    const began = performance.now();
    for (let count = 0; count < 100; count++) mintNodeUser(guarded.tree, { clock }, { nodeId: "nod_x", publicKey });
    expect((performance.now() - began) / 100).toBeLessThan(5);
  });
});

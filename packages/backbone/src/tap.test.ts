import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { silentLog, systemClock } from "@outcry/protocol";
import { INBOX_PREFIXES, mintTapUsers } from "./auth.js";
import { apiOf } from "./domain.js";
import type { Backbone } from "./connect.js";
import { startGuarded } from "./guarded.fixture.js";
import type { Guarded } from "./guarded.fixture.js";
import { openBucket } from "./kv.js";
import { bytes, eventually, makeStream, text } from "./nats-server.fixture.js";
import { readBatch, streamHead } from "./read.js";
import { ensureStreams } from "./streams.js";
import { ensureTap } from "./tap.js";

let guarded: Guarded;
let service: Backbone;
let keeper: Backbone;
let gateway: Backbone;

beforeAll(async () => {
  guarded = await startGuarded();
  service = await guarded.as("service");
  await ensureStreams(service, { replicas: 1, region: "local" });
  const users = mintTapUsers(guarded.tree, { clock: systemClock }, { tap: "one" });
  const as = (creds: string) => guarded.server.connect({ credentials: { creds }, inboxPrefix: INBOX_PREFIXES.gateway });
  [keeper, gateway] = [await as(users.tap.creds), await as(users.gateway.creds)];
});
afterAll(() => guarded.stop());

const ensure = (tap = "one", by = keeper) => ensureTap({ record: by, local: by, tap });
const inStep = async (stream: string) => {
  const { lastSeq } = await streamHead(service, "EVENTS");
  await eventually(async () => (await streamHead(service, stream)).lastSeq === lastSeq);
};

describe("the tap", () => {
  test("is a mirror with the epoch of EVENTS, the same sequences, and live subjects of its own", async () => {
    const live: string[] = [];
    service.subscribe("live.>", (message) => void live.push(message.subject));
    await service.flush();
    const { epoch } = await streamHead(service, "EVENTS");
    expect(await ensure()).toEqual({ stream: "EVENTS_one", epoch, outcome: "created" });
    expect(await ensure()).toEqual({ stream: "EVENTS_one", epoch, outcome: "found" });
    for (let n = 1; n <= 3; n++) await service.request("rt.node.-.-.x", bytes(String(n)));
    await inStep("EVENTS_one");
    const shown = async (stream: string) =>
      (await readBatch(service, stream, { seq: 1 })).messages.map(({ seq, subject, data }) => [
        seq,
        subject,
        text(data),
      ]);
    expect(await shown("EVENTS_one")).toEqual(await shown("EVENTS"));
    await eventually(() => live.length === 6);
    expect(new Set(live)).toEqual(new Set(["live.local.rt.node.-.-.x", "live.one.rt.node.-.-.x"]));
  });

  test("is made anew with EVENTS, and holds nothing of the old one", async () => {
    await service.request("$JS.API.STREAM.DELETE.EVENTS", bytes(""));
    await expect(ensure()).rejects.toThrow("there is no stream EVENTS");
    await ensureStreams(service, { replicas: 1, region: "local" });
    await service.request("rt.node.-.-.x", bytes("new"));
    const { epoch } = await streamHead(service, "EVENTS");
    expect(await ensure()).toEqual({ stream: "EVENTS_one", epoch, outcome: "remade" });
    await inStep("EVENTS_one");
    expect((await readBatch(service, "EVENTS_one", { seq: 1 })).messages.map(({ data }) => text(data))).toEqual([
      "new",
    ]);
  });

  test("is refused under the live name of EVENTS, with other settings, and in the place of a stream that is no mirror", async () => {
    await expect(ensure("local", service)).rejects.toThrow("would share live.local.rt.>");
    const { epoch } = await streamHead(service, "EVENTS");
    const mirror = { mirror: { name: "EVENTS" }, discard: "old", allow_atomic: false, storage: "memory" };
    await makeStream(service, "EVENTS_two", [], { ...mirror, metadata: { outcry_epoch: epoch } });
    await expect(ensure("two", service)).rejects.toThrow("storage is");
    await makeStream(service, "EVENTS_three", ["three.>"]);
    await expect(ensure("three", service)).rejects.toThrow("no mirror: it is not deleted");
    expect((await streamHead(service, "EVENTS_three")).lastSeq).toBe(0);
  });
});

describe("the users of a tap", () => {
  test("the gateway's reads the tap, the head of EVENTS and the keys, and nothing else", async () => {
    const live: string[] = [];
    gateway.subscribe("live.one.rt.>", (message) => void live.push(message.subject));
    await gateway.flush();
    await service.request("rt.node.-.-.x", bytes("heard"));
    await eventually(() => live.length === 1);
    await inStep("EVENTS_one");
    expect((await readBatch(gateway, "EVENTS_one", { seq: 1 })).messages.length).toBeGreaterThan(0);
    expect((await streamHead(gateway, "EVENTS")).epoch).toBe((await streamHead(gateway, "EVENTS_one")).epoch);
    await openBucket(service, "access", { log: silentLog }).put("k", bytes("v"));
    expect(await openBucket(gateway, "access", { log: silentLog }).get("k")).toBeDefined();
    await refusedFor(gateway, [
      "$JS.API.DIRECT.GET.EVENTS",
      "$JS.API.DIRECT.GET.INTENTS",
      "$JS.API.STREAM.MSG.GET.EVENTS_one",
      "$JS.API.STREAM.DELETE.EVENTS_one",
      "$JS.API.STREAM.PURGE.EVENTS_one",
      "$JS.API.CONSUMER.CREATE.EVENTS_one",
      "rt.node.-.-.x",
    ]);
  });

  test("the keeper's makes and deletes the tap, and reads, writes and makes nothing else", async () => {
    expect((await ensure()).outcome).toBe("found");
    await refusedFor(keeper, [
      "$JS.API.DIRECT.GET.EVENTS_one",
      "$JS.API.STREAM.CREATE.EVENTS_other",
      "$JS.API.STREAM.DELETE.EVENTS",
      "$JS.API.STREAM.UPDATE.EVENTS",
      "$JS.API.STREAM.INFO.INTENTS",
      "rt.node.-.-.x",
    ]);
  });

  test("a domain is part of subjects, and no other text", () => {
    expect([apiOf(undefined), apiOf("eu")]).toEqual(["$JS.API", "$JS.eu.API"]);
    for (const wrong of ["", "a.b", "*", ">", "a b"]) expect(() => apiOf(wrong)).toThrow(TypeError);
  });
});

async function refusedFor(user: Backbone, subjects: readonly string[]): Promise<void> {
  for (const subject of subjects)
    await expect(user.request(subject, bytes("{}"))).rejects.toThrow(`no permission to publish on ${subject}`);
}

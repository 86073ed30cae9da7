// The service's keys as several processes hold them, on a real nats-server: they agree, a crash goes on, what is old goes.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { type Backbone, type Bucket, ensureStreams, openBucket } from "@outcry/backbone";
import { BUCKETS, type Clock, LIMITS, silentLog, systemClock } from "@outcry/protocol";
import { generateKey, loadKeyFile, privateJwk, publicJwk, saveKeyFile } from "@outcry/signing";
import { eventually, startServers, type TestServers } from "../http/service.fixture.js";
import { type AccessBook, createAccessBook } from "./access-book.js";
import { fixedKey, keyFolder, type KeyStore } from "./key-store.js";
import { createSigningKeys, type SigningKeys } from "./signing-keys.js";

const SERVICE_ID = "outcry-test";

let servers: TestServers;
let backbone: Backbone;
let bucket: Bucket;
const folders: string[] = [];
const open: (() => Promise<void>)[] = [];

beforeAll(async () => {
  servers = await startServers();
  backbone = await servers.connect("service");
  await ensureStreams(backbone, { replicas: 1, region: "local" });
  bucket = openBucket(backbone, BUCKETS.access, { log: silentLog });
});
beforeEach(async () => {
  for (const close of open.splice(0)) await close();
  for await (const { key, revision } of bucket.entries()) await bucket.delete(key, revision);
});
afterAll(async () => {
  for (const close of open.splice(0)) await close();
  await servers.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "outcry-keys-"));
  folders.push(folder);
  return folder;
}

interface Process {
  keys: SigningKeys;
  book: AccessBook;
  stop(): Promise<void>;
}

async function start(store: KeyStore, clock: Clock = systemClock): Promise<Process> {
  const book = await createAccessBook({ bucket, clock, log: silentLog });
  const keys = await createSigningKeys({ book, store, serviceId: SERVICE_ID, clock, log: silentLog });
  const stop = async () => {
    await keys.stop();
    book.close();
  };
  open.push(stop);
  return { keys, book, stop };
}

const kids = ({ keys }: Process): string[] => keys.published().map(({ kid }) => kid);
const filesIn = (folder: string): string[] => readdirSync(folder).toSorted();

describe("several processes", () => {
  test("publish and verify with each other's keys, and follow one rotation", async () => {
    const processes = [await start(keyFolder(newFolder())), await start(keyFolder(newFolder()))];
    const before = processes.map(({ keys }) => keys.current.kid);
    for (const each of processes) await eventually(() => before.every((kid) => kids(each).includes(kid)));
    for (const { keys } of processes) for (const kid of before) expect(keys.source.find(kid)?.owner).toBe(SERVICE_ID);

    await processes[0]!.keys.rotate(200);
    expect(processes[0]!.keys.current.kid).toBe(before[0]);
    await eventually(() => kids(processes[0]!).length === 4); // both next ones, before they sign
    await eventually(() => processes.every(({ keys }, at) => keys.current.kid !== before[at]));
    const after = processes.map(({ keys }) => keys.current.kid);
    for (const each of processes) await eventually(() => after.every((kid) => kids(each).includes(kid)));
    for (const kid of before) expect(processes[1]!.keys.source.find(kid)).toBeDefined();
  });

  test("that share a folder sign with one key, also after a rotation", async () => {
    const folder = newFolder();
    const [one, other] = await Promise.all([start(keyFolder(folder)), start(keyFolder(folder))]);
    expect(one.keys.current.kid).toBe(other.keys.current.kid);
    await other.keys.rotate(0);
    await eventually(() => one.keys.current.kid === other.keys.current.kid, 8_000);
    expect(loadKeyFile(path.join(folder, "signing-key.json")).kid).toBe(one.keys.current.kid);
    expect(filesIn(folder)).toEqual(["signing-key.json"]);
  });

  test("drop a revoked key at once, and the one that signed with it takes another", async () => {
    const processes = [await start(keyFolder(newFolder())), await start(keyFolder(newFolder()))];
    const { kid } = processes[1]!.keys.current;
    await eventually(() => processes[0]!.keys.source.find(kid) !== undefined);
    await processes[0]!.keys.revoke(kid);
    expect(processes[0]!.keys.source.find(kid)).toBeUndefined();
    await eventually(() => processes[1]!.keys.source.find(kid) === undefined);
    await eventually(() => processes[1]!.keys.check().ok && processes[1]!.keys.current.kid !== kid);
    expect(kids(processes[0]!)).not.toContain(kid);
  });
});

test("a rotation that begins while another waits ends with one new key, after the lead of both", async () => {
  const { keys } = await start(keyFolder(newFolder()));
  const before = keys.current.kid;
  await keys.rotate(300);
  await keys.rotate(500);
  const beganAt = Date.now();
  expect(keys.published()).toHaveLength(2);
  await eventually(() => keys.current.kid !== before);
  expect(Date.now() - beganAt).toBeGreaterThan(400);
  const after = keys.current.kid;
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(keys.current.kid).toBe(after);
  expect(keys.published()).toHaveLength(2);
});

test("a process that starts after a rotation publishes its new key as long before it signs", async () => {
  const folder = newFolder();
  const late = await start(keyFolder(folder));
  const before = late.keys.current.kid;
  await late.stop();
  await (await start(keyFolder(newFolder()))).keys.rotate(400);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const startedAt = Date.now();
  const again = await start(keyFolder(folder));
  expect(again.keys.current.kid).toBe(before);
  await eventually(() => again.keys.current.kid !== before);
  expect(Date.now() - startedAt).toBeGreaterThan(350);
});

describe("a rotation that a crash cut off", () => {
  test("goes on with the same next key at the next start", async () => {
    const folder = newFolder();
    const first = await start(keyFolder(folder));
    const before = first.keys.current.kid;
    await first.keys.rotate(600);
    const next = loadKeyFile(path.join(folder, "signing-key.next.json")).kid;
    await first.stop();
    const second = await start(keyFolder(folder));
    expect(second.keys.current.kid).toBe(before);
    await eventually(() => second.keys.current.kid === next);
    expect(filesIn(folder)).toEqual(["signing-key.json"]);
    expect(kids(second).toSorted()).toEqual([before, next].toSorted());
  });

  test("between the files and the record publishes the key that signs", async () => {
    const folder = newFolder();
    const first = await start(keyFolder(folder));
    await first.stop();
    rmSync(path.join(folder, "signing-key.json"));
    const byHand = generateKey();
    saveKeyFile(path.join(folder, "signing-key.json"), byHand);
    const second = await start(keyFolder(folder));
    expect(second.keys.current.kid).toBe(byHand.kid);
    expect(kids(second)).toContain(byHand.kid);
  });
});

test("a key file that is replaced by hand is published and taken without a restart", async () => {
  const folder = newFolder();
  const { keys, ...rest } = await start(keyFolder(folder));
  const byHand = generateKey();
  writeFileSync(path.join(folder, "signing-key.json"), JSON.stringify(privateJwk(byHand)), { mode: 0o600 });
  await eventually(() => keys.current.kid === byHand.kid, 4_000);
  expect(kids({ keys, ...rest })).toContain(byHand.kid);
});

describe("a key from the configuration", () => {
  test("is rotated there: asking is refused, another value keeps the old one published", async () => {
    const [old, fresh] = [generateKey(), generateKey()];
    const first = await start(fixedKey(old));
    await expect(first.keys.rotate(0)).rejects.toMatchObject({ code: "rotation_unsupported" });
    await first.stop();
    const second = await start(fixedKey(fresh));
    expect(second.keys.current.kid).toBe(fresh.kid);
    expect(kids(second).toSorted()).toEqual([old.kid, fresh.kid].toSorted());
  });

  test("signs no more once it is revoked, and is not published again by a restart", async () => {
    const key = generateKey();
    const first = await start(fixedKey(key));
    await first.keys.revoke(key.kid);
    expect(() => first.keys.current).toThrow("revoked");
    expect(first.keys.check().ok).toBe(false);
    await first.stop();
    const second = await start(fixedKey(key));
    expect(() => second.keys.current).toThrow("revoked");
    expect(kids(second)).toEqual([]);
  });
});

describe("an old key", () => {
  test("stays published for as long as what it signed may be verified, and then goes", async () => {
    let nowMs = Date.now();
    const clock = { now: () => nowMs };
    const old = generateKey();
    await (await start(fixedKey(old), clock)).stop();
    nowMs += LIMITS.signingKeyKeptMs;
    const middle = await start(fixedKey(generateKey()), clock);
    expect(kids(middle)).toContain(old.kid);
    expect(middle.keys.list().find(({ kid }) => kid === old.kid)).toMatchObject({ last_signed: expect.any(String) });
    await middle.stop();
    nowMs += 2 * 60 * 60_000;
    expect(kids(await start(fixedKey(generateKey()), clock))).not.toContain(old.kid);
  });

  test("of a version that noted nothing about it begins its time now", async () => {
    const old = generateKey();
    await bucket.create(`signing-key.${old.kid}`, Buffer.from(JSON.stringify(publicJwk(old))));
    const { keys } = await start(fixedKey(generateKey()));
    await eventually(() => keys.list().find(({ kid }) => kid === old.kid)?.last_signed !== undefined);
    expect(keys.source.find(old.kid)).toBeDefined();
  });
});

test("no private key is in the record", async () => {
  const folder = newFolder();
  const { keys } = await start(keyFolder(folder));
  await keys.rotate(0);
  const secret = (JSON.parse(readFileSync(path.join(folder, "signing-key.json"), "utf8")) as { d: string }).d;
  for await (const { value } of bucket.entries()) expect(Buffer.from(value).toString()).not.toContain(secret);
});

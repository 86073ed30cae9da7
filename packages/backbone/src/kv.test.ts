import { silentLog } from "@outcry/protocol";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { createAppender } from "./append.js";
import type { Backbone } from "./connect.js";
import { openBucket } from "./kv.js";
import type { Bucket } from "./kv.js";
import type { BucketEntry } from "./kv-entry.js";
import { bytes, eventually, makeStream, sleep, startNats, text } from "./nats-server.fixture.js";
import type { TestServer } from "./nats-server.fixture.js";

let server: TestServer;
let backbone: Backbone;
let bucket: Bucket;
const make = () => makeStream(backbone, "KV_b", ["$KV.b.>"], { max_msgs_per_subject: 1, allow_rollup_hdrs: true });
beforeEach(async () => {
  server = await startNats();
  backbone = await server.connect();
  await make();
  bucket = openBucket(backbone, "b", { log: silentLog });
});
afterEach(() => server.remove());

test("keys are created once, updated at their revision, deleted and created again", async () => {
  expect(await bucket.get("k")).toBeUndefined();
  expect(await bucket.create("k", bytes("1"))).toEqual({ kind: "written", revision: 1 });
  expect(await bucket.create("k", bytes("2"))).toEqual({ kind: "conflict", revision: 1 });
  expect(await bucket.update("k", bytes("2"), 1)).toEqual({ kind: "written", revision: 2 });
  expect(await bucket.update("k", bytes("3"), 1)).toEqual({ kind: "conflict", revision: 2 });
  expect(await bucket.put("other", bytes("x"))).toBe(3);
  expect(await bucket.get("k")).toMatchObject({ key: "k", value: expect.anything(), revision: 2, deleted: false });
  expect(await bucket.delete("k", 1)).toEqual({ kind: "conflict", revision: 2 });
  expect(await bucket.delete("k")).toEqual({ kind: "written", revision: 4 });
  expect(await bucket.get("k")).toBeUndefined();
  expect(await bucket.create("k", bytes("4"))).toEqual({ kind: "written", revision: 5 });
  const keys: string[] = [];
  for await (const entry of bucket.entries()) keys.push(entry.key);
  expect(keys).toEqual(["other", "k"]);
  await expect(bucket.put("a.*", bytes("x"))).rejects.toThrow("is no key");
  for (const none of ["a.*", ">", "$x", "a b", ".a", ""])
    expect([none, await bucket.get(none)]).toEqual([none, undefined]);
});

test("one of twenty concurrent updates wins", async () => {
  await bucket.create("k", bytes("0"));
  const kinds = await Promise.all(
    Array.from({ length: 20 }, (_, index) => bucket.update("k", bytes(String(index)), 1)),
  );
  expect(kinds.filter((written) => written.kind === "written")).toHaveLength(1);
});

test("a watch shows 10,000 entries at once, then each change within a few milliseconds", async () => {
  const appender = createAppender(backbone, { stream: "KV_b" });
  await Promise.all(
    Array.from({ length: 10_000 }, (_, index) =>
      appender.append({ subject: `$KV.b.n${index}`, data: bytes(String(index)) }),
    ),
  );
  const seen = new Map<string, BucketEntry>();
  const began = performance.now();
  const watching = bucket.watch({ onEntry: (entry) => seen.set(entry.key, entry) });
  await watching.ready;
  const snapshotMs = performance.now() - began;
  expect(seen.size).toBe(10_000);
  expect(watching.revision).toBe(10_000);

  const delays: number[] = [];
  for (let index = 0; index < 20; index++) {
    const at = performance.now();
    const revision = await bucket.put("n1", bytes(`new ${index}`));
    await eventually(() => watching.revision === revision);
    delays.push(performance.now() - at);
  }
  await bucket.delete("n2");
  await eventually(() => seen.get("n2")?.deleted === true);
  expect(text(seen.get("n1")!.value)).toBe("new 19");
  expect(snapshotMs).toBeLessThan(3_000);
  expect(delays.toSorted((a, b) => a - b)[10]).toBeLessThan(100);
  watching.stop();
});

test("a watch misses nothing across kill -9, and sees what was written while it was away", async () => {
  const seen = new Map<string, string>();
  const watching = bucket.watch({ onEntry: (entry) => seen.set(entry.key, text(entry.value)) });
  await watching.ready;
  const writer = await server.connect();
  const written = new Map<string, string>();
  const load = (async () => {
    const other = openBucket(writer, "b", { log: silentLog });
    for (let index = 0; index < 400; index++) {
      const key = `k${index % 50}`;
      for (;;) {
        const ok = await writer.health
          .whenUp()
          .then(() => other.put(key, bytes(String(index))))
          .catch(() => undefined);
        if (ok !== undefined) break;
        await sleep(10);
      }
      written.set(key, String(index));
    }
  })();
  await eventually(() => seen.size > 20);
  await server.kill9();
  await sleep(100);
  await server.restart();
  await load;
  await eventually(() => [...written].every(([key, value]) => seen.get(key) === value));
  expect(seen.size).toBe(50);
  watching.stop();
});

test("a watch starts anew when the bucket was replaced during an outage", async () => {
  await bucket.put("old", bytes("1"));
  const keys: string[] = [];
  let resets = 0;
  const watching = bucket.watch({ onEntry: (entry) => keys.push(entry.key), onReset: () => resets++ });
  await watching.ready;
  await server.kill9();
  await server.restart();
  const other = await server.connect();
  await other.request("$JS.API.STREAM.DELETE.KV_b", new Uint8Array(0));
  await backbone.health.whenUp();
  await make();
  await bucket.put("new", bytes("1"));
  await eventually(() => keys.includes("new"));
  expect(resets).toBe(1);
  watching.stop();
});

test("a watch goes on after its own handler threw", async () => {
  let thrown = 0;
  const keys: string[] = [];
  const watching = bucket.watch({
    onEntry: (entry) => {
      if (thrown++ === 0) throw new Error("broken once");
      keys.push(entry.key);
    },
  });
  await bucket.put("k", bytes("1"));
  await eventually(() => keys.length === 1);
  watching.stop();
});

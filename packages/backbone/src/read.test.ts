import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createAppender } from "./append.js";
import type { Backbone } from "./connect.js";
import { bytes, makeStream, startNats, SYNC_LATER, text } from "./nats-server.fixture.js";
import type { TestServer } from "./nats-server.fixture.js";
import { countMessages, readLast, subjectsOf } from "./read-last.js";
import { getBySeq, getLast, readAll, readBatch, streamHead } from "./read.js";

const COUNT = 2_500; // more than two pages
let server: TestServer;
let backbone: Backbone;

beforeAll(async () => {
  server = await startNats({ extraConfig: SYNC_LATER });
  backbone = await server.connect();
  await makeStream(backbone, "T", ["t.>"], { metadata: { outcry_epoch: "e1" } });
  const appender = createAppender(backbone, { stream: "T" });
  const entry = (index: number) => ({
    subject: `t.${index % 5}`,
    data: bytes(String(index)),
    headers: { "Outcry-Attempt": String(index) },
  });
  await Promise.all(Array.from({ length: COUNT }, (_, index) => appender.append(entry(index + 1))));
});
afterAll(() => server.remove());

async function sequences(query: Parameters<typeof readAll>[2]): Promise<number[]> {
  const all: number[] = [];
  for await (const stored of readAll(backbone, "T", query)) all.push(stored.seq);
  return all;
}

describe("reading", () => {
  test("gives one message with its place, time and headers", async () => {
    const stored = await getBySeq(backbone, "T", 7);
    expect(stored).toMatchObject({ stream: "T", subject: "t.2", seq: 7 });
    expect(text(stored!.data)).toBe("7");
    expect(stored!.headers.last("Outcry-Attempt")).toBe("7");
    expect(Math.abs(stored!.time - Date.now())).toBeLessThan(60_000);
  });

  test("gives the last one of a subject and of a wildcard, and nothing where nothing is", async () => {
    expect((await getLast(backbone, "T", "t.0"))?.seq).toBe(COUNT);
    expect((await getLast(backbone, "T", "t.*"))?.seq).toBe(COUNT);
    expect(await getLast(backbone, "T", "t.none")).toBeUndefined();
    expect(await getBySeq(backbone, "T", COUNT + 1)).toBeUndefined();
  });

  test("a page knows how much is behind it", async () => {
    const page = await readBatch(backbone, "T", { seq: 1, filter: "t.1", batch: 10 });
    expect(page.messages.map((stored) => stored.seq)).toEqual([1, 6, 11, 16, 21, 26, 31, 36, 41, 46]);
    expect(page.pending).toBe(COUNT / 5 - 10);
    expect(await readBatch(backbone, "T", { seq: COUNT + 1 })).toEqual({ messages: [], pending: 0 });
    const short = await readBatch(backbone, "T", { seq: 1, maxBytes: 1_000 });
    expect(short.messages.length).toBeGreaterThan(0);
    expect(short.messages.length + short.pending).toBe(COUNT);
  });

  test("a range is complete over pages and stops where it should", async () => {
    expect(await sequences({})).toEqual(Array.from({ length: COUNT }, (_, index) => index + 1));
    expect(await sequences({ fromSeq: 1_001, upToSeq: 2_003 })).toHaveLength(1_003);
    expect(await sequences({ filter: "t.3" })).toHaveLength(COUNT / 5);
    expect(await sequences({ fromSeq: COUNT + 1 })).toEqual([]);
  });

  test("the last messages of many subjects come at once, and only those that are there", async () => {
    const lasts = await readLast(backbone, "T", ["t.1", "t.4", "t.none"]);
    expect(lasts.map(({ subject, seq }) => `${subject} ${seq}`)).toEqual([`t.1 ${COUNT - 4}`, `t.4 ${COUNT - 1}`]);
    expect((await readLast(backbone, "T", ["t.*"])).map(({ seq }) => COUNT - seq)).toEqual([4, 3, 2, 1, 0]);
    expect(await readLast(backbone, "T", ["t.none"])).toEqual([]);
    expect(await readLast(backbone, "T", [])).toEqual([]);
    const many = Array.from({ length: 1_000 }, (_, index) => `t.none.${index}`);
    expect(await readLast(backbone, "T", [...many, "t.2"])).toHaveLength(1);
  });

  test("subjects are listed and messages counted by a filter", async () => {
    expect((await subjectsOf(backbone, "T", "t.*")).toSorted()).toEqual(["t.0", "t.1", "t.2", "t.3", "t.4"]);
    expect(await subjectsOf(backbone, "T", "t.none")).toEqual([]);
    expect(await countMessages(backbone, "T", "t.3")).toBe(COUNT / 5);
    expect(await countMessages(backbone, "T", "t.none")).toBe(0);
  });

  test("leaves no pending request behind, also when the reader breaks off", async () => {
    for await (const stored of readAll(backbone, "T")) if (stored.seq === 3) break;
    await expect(readBatch(backbone, "NOPE", { seq: 1 })).rejects.toThrow("nobody answers");
  });

  test("the head tells bounds, epoch and creation", async () => {
    expect(await streamHead(backbone, "T")).toMatchObject({
      firstSeq: 1,
      lastSeq: COUNT,
      messages: COUNT,
      epoch: "e1",
      bytesMax: 1e9,
    });
    await expect(streamHead(backbone, "NOPE")).rejects.toThrow("there is no stream NOPE");
  });
});

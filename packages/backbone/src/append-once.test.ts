import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { EVENT_ID_HEADER, createOnceAppender } from "./append-once.js";
import type { OnceAppender } from "./append-once.js";
import { createAppender } from "./append.js";
import type { Appender } from "./append.js";
import type { Backbone } from "./connect.js";
import { bytes, makeStream, startNats } from "./nats-server.fixture.js";
import type { TestServer } from "./nats-server.fixture.js";
import { getLast, streamHead } from "./read.js";

let server: TestServer;
let backbone: Backbone;
let appender: Appender;
let once: OnceAppender;
beforeEach(async () => {
  server = await startNats();
  backbone = await server.connect();
  await makeStream(backbone, "T", ["t.>"], { max_bytes: 50_000_000 });
  appender = createAppender(backbone, { stream: "T" });
  once = createOnceAppender({ backbone, appender });
});
afterEach(() => server.remove());

/** Of a second process. */
async function anotherOnce(): Promise<OnceAppender> {
  const other = await server.connect();
  return createOnceAppender({ backbone: other, appender: createAppender(other, { stream: "T" }) });
}

describe("an event that must be stored once", () => {
  const event = (eventId: string) => ({ subject: "t.topic", data: bytes(eventId), eventId });

  test("is appended when absent and found when a killed writer had stored it", async () => {
    await appender.append({ subject: "t.topic", data: bytes("other") });
    expect(await once.append(event("evt_1"))).toEqual({ kind: "appended", seq: 2 });
    expect(await once.append(event("evt_1"))).toEqual({ kind: "found", seq: 2 });
    expect((await getLast(backbone, "T", "t.topic"))?.headers.last(EVENT_ID_HEADER)).toBe("evt_1");
  });

  test("is not stored behind an event that closes the subject to it", async () => {
    await once.append(event("evt_end"));
    const late = { ...event("evt_late"), notBehind: ["evt_end"] };
    expect(await once.append(late)).toEqual({ kind: "too_late", seq: 1 });
    expect((await streamHead(backbone, "T")).lastSeq).toBe(1);
  });

  test("is not stored behind the closing event of another process either, which came since the topic was read", async () => {
    const other = await anotherOnce();
    const work = Array.from({ length: 20 }, (_, at) => once.append({ ...event(`evt_${at}`), notBehind: ["evt_end"] }));
    const end = await other.append(event("evt_end"));
    const seqs = await Promise.all(work);
    for (const { kind, seq } of seqs) expect(kind === "appended" ? seq < end.seq : kind === "too_late").toBe(true);
  });

  test("is not doubled by a writer that takes it for its first time and goes by the message id", async () => {
    const { subject, data } = event("evt_1");
    await once.append(event("evt_1"));
    expect(await appender.append({ subject, data, msgId: "evt_1" })).toEqual({ kind: "duplicate", seq: 1 });
  });

  test("is stored once by ten writers of it among ten others", async () => {
    const writers = [once, await anotherOnce()];
    const work = Array.from({ length: 20 }, (_, index) =>
      writers[index % 2]!.append(event(index < 10 ? "evt_same" : `evt_${index}`)),
    );
    const kinds = (await Promise.all(work)).map((outcome) => outcome.kind);
    expect(kinds.filter((kind) => kind === "appended")).toHaveLength(11);
    expect((await streamHead(backbone, "T")).lastSeq).toBe(11);
  });

  test("excludes an event of another subject that shares its message id, whoever comes first", async () => {
    const writers = [once, await anotherOnce()];
    for (let round = 0; round < 20; round++) {
      const msgId = `decision-${round}`;
      const [one, two] = await Promise.all([
        writers[0]!.append({ ...event(`evt_a${round}`), msgId }),
        writers[1]!.append({ ...event(`evt_b${round}`), subject: "t.other", msgId }),
      ]);
      expect([one.kind, two.kind].toSorted()).toEqual(["appended", "excluded"]);
    }
    expect((await streamHead(backbone, "T")).lastSeq).toBe(20);
  });

  test("costs its topic one reading when a hundred come again at once", async () => {
    for (let at = 0; at < 100; at++) await appender.append({ subject: "t.topic", data: bytes(`${at}`) });
    let reads = 0;
    const watcher = await server.connect();
    watcher.subscribe("$JS.API.DIRECT.GET.T", () => void (reads += 1));
    await watcher.flush();
    const outcomes = await Promise.all(Array.from({ length: 100 }, (_, at) => once.append(event(`evt_${at}`))));
    expect(outcomes.map(({ seq }) => seq)).toEqual(Array.from({ length: 100 }, (_, at) => 101 + at)); // in their order
    await watcher.flush();
    expect(reads).toBe(1);
  });
});

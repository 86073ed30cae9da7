// Forged, foreign and old cursors (docs/gateway-protocol.md §4.9): whatever text a client sends, it gets exactly what is behind a position that
// it was given for that channel, or is told that nothing was recovered. The seed stands in each failure; OUTCRY_SEED sets it.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { silentLog, systemClock } from "@outcry/protocol";
import { setImmediate as turn } from "node:timers/promises";
import { CursorCodec, cursorScope } from "./channels/cursor.js";
import type { Sink } from "./channels/format.js";
import { seeded, testPolicy } from "./engine.fixture.js";
import { GatewayEngine } from "./gateway.js";
import { MemorySource } from "./log/memory-source.fixture.js";
import { textsOf } from "./history-reader.fixture.js";
import { nativeFormat } from "./native/native-format.js";

const SEED = Number(process.env["OUTCRY_SEED"] ?? 20_261_129);
const TRIES = 4_000;
const EVENTS = 60;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const random = seeded(SEED);
const upTo = (count: number) => Math.floor(random() * count);
const pick = <T>(values: readonly T[]): T => values[upTo(values.length)]!;

const NOW = { id: "a", secret: Buffer.alloc(16, 7) };
const BEFORE = { id: "b", secret: Buffer.alloc(16, 8) };
const GONE = { id: "c", secret: Buffer.alloc(16, 9) };
const CHANNELS = ["one:x", "one:y", "group:g", "all:"];
const SUBJECTS = ["rt.t.g.x", "rt.t.g.y", "rt.t.h.x"];

const keyOf = (channel: string) => channel.replace(":", ".");
const codecs = { now: new CursorCodec([NOW]), before: new CursorCodec([BEFORE]), gone: new CursorCodec([GONE]) };
const cursorOf = (channel: string, seq: number, codec = codecs.now, epoch = "e1") =>
  codec.write(cursorScope(keyOf(channel), epoch), { seq, time: 1_000_000 + seq });

let source: MemorySource;
let engine: GatewayEngine;
const published: { n: number; subject: string }[] = [];

beforeAll(async () => {
  source = new MemorySource();
  const limits = { ringEventsMax: 8, replayMessages: 7, aheadMs: 50, retryMs: 1 };
  engine = new GatewayEngine({
    source,
    policy: testPolicy,
    cursorKeys: [NOW, BEFORE],
    clock: systemClock,
    log: silentLog,
    limits,
  });
  await engine.start();
  for (let n = 1; n <= EVENTS; n++) {
    published.push({ n, subject: pick(SUBJECTS) });
    source.publish(published.at(-1)!.subject, n);
  }
});
afterAll(() => engine.stop());

interface Outcome {
  readonly told: string;
  readonly numbers: readonly number[];
}

async function resume(channel: string, cursor: string): Promise<Outcome> {
  const numbers: number[] = [];
  const replay = { isOver: false }; // as its position says
  const sink: Sink = {
    id: "reader",
    format: nativeFormat,
    offer(frames) {
      for (const text of textsOf(frames)) {
        const { d, pos } = JSON.parse(text) as { d?: { n: number }; pos?: string };
        if (d !== undefined) numbers.push(d.n);
        replay.isOver ||= pos !== undefined;
      }
      return true;
    },
    ready: async () => true,
  };
  const session = engine.open({ id: "p", role: "buyer", credential: "p" }, sink);
  const result = await session.resume(channel, cursor);
  const isReplayed = result.kind === "subscribed" && result.recovered === true;
  if (isReplayed) for (let turns = 0; !replay.isOver && turns < 10_000; turns++) await turn();
  session.close();
  if (result.kind !== "subscribed") return { told: result.kind === "refused" ? result.code : result.kind, numbers };
  return { told: result.recovered === true ? "recovered" : String(result.reason), numbers };
}

const behind = (channel: string, seq: number) =>
  published
    .filter(({ n, subject }) => n > seq && testPolicy.keysOf(subject).includes(keyOf(channel)))
    .map(({ n }) => n);

const randomText = () => {
  let text = "";
  while (text.length < 22) text += ALPHABET[upTo(ALPHABET.length)]!;
  return text + pick(["a", "a", "b", "c", "d"]);
};
const flipped = (text: string) => {
  const at = upTo(text.length);
  const bit = 1 << upTo(6);
  return text.slice(0, at) + ALPHABET[ALPHABET.indexOf(text[at]!) ^ bit]! + text.slice(at + 1);
};

/** What is sent, and what alone may be told of it. */
const KINDS: Record<string, (channel: string, seq: number) => readonly [cursor: string, told: string]> = {
  valid: (channel, seq) => [cursorOf(channel, seq), "recovered"],
  "of the key before": (channel, seq) => [cursorOf(channel, seq, codecs.before), "recovered"],
  "of a key that is gone": (channel, seq) => [cursorOf(channel, seq, codecs.gone), "cursor_invalid"],
  "a random text": () => [randomText(), "cursor_invalid"],
  "a bit flipped": (channel, seq) => [flipped(cursorOf(channel, seq)), "cursor_invalid"],
  "another channel's": (channel, seq) => [
    cursorOf(pick(CHANNELS.filter((other) => other !== channel)), seq),
    "cursor_invalid",
  ],
  "another epoch's": (channel, seq) => [cursorOf(channel, seq, codecs.now, `e${2 + upTo(1_000)}`), "epoch"],
  "ahead of the stream": (channel, seq) => [cursorOf(channel, EVENTS + 1 + seq * 1_000), "ahead"],
  "another key's letter": (channel, seq) => [cursorOf(channel, seq).slice(0, 22) + "b", "cursor_invalid"],
  "of another length": (channel, seq) => [
    cursorOf(channel, seq).slice(1 + upTo(22)) + "A".repeat(upTo(3)),
    "cursor_invalid",
  ],
};

describe(`cursors of every kind (seed ${SEED})`, () => {
  test(`4.9: ${TRIES} of them: exactly what is behind a position of this channel, or nothing and a reason`, async () => {
    const counted = new Map<string, number>();
    for (let at = 0; at < TRIES; at++) {
      const kind = pick(Object.keys(KINDS));
      const channel = pick(CHANNELS);
      const seq = upTo(EVENTS + 1);
      const [cursor, told] = KINDS[kind]!(channel, seq);
      const outcome = await resume(channel, cursor);
      const sent = { seed: SEED, at, kind, channel, seq, cursor };
      const numbers = told === "recovered" ? behind(channel, seq) : [];
      expect({ ...sent, ...outcome }).toEqual({ ...sent, told, numbers });
      counted.set(kind, (counted.get(kind) ?? 0) + 1);
    }
    expect(counted.size).toBe(Object.keys(KINDS).length);
  });

  test("4.9: every bit of a cursor flipped, one after the other", async () => {
    const cursor = cursorOf("all:", 30);
    for (let at = 0; at < cursor.length; at++) {
      for (let bit = 0; bit < 6; bit++) {
        const bent = cursor.slice(0, at) + ALPHABET[ALPHABET.indexOf(cursor[at]!) ^ (1 << bit)]! + cursor.slice(at + 1);
        expect({ at, bit, ...(await resume("all:", bent)) }).toEqual({ at, bit, told: "cursor_invalid", numbers: [] });
      }
    }
  });

  // 16 bits tell channels apart: such pairs exist. A position is one of the whole stream, so what follows is right all the same.
  test("4.9: a cursor of a channel whose tag is the same replays this channel's own events, and no others", async () => {
    const { channelTag } = cursorScope(keyOf("group:g"), "e1");
    let id = 0;
    while (cursorScope(`one.twin${id}`, "e1").channelTag !== channelTag) id++;
    const outcome = await resume("group:g", cursorOf(`one:twin${id}`, 20));
    expect(outcome).toEqual({ told: "recovered", numbers: behind("group:g", 20) });
  });
});

test("4.9: of 200,000 random texts none is a position", () => {
  const scope = cursorScope(keyOf("all:"), "e1");
  const codec = new CursorCodec([NOW, BEFORE]);
  let positions = 0;
  for (let at = 0; at < 200_000; at++) if (codec.read(scope, randomText()).kind === "ok") positions++;
  expect(positions).toBe(0);
});

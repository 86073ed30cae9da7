// Random histories through the event-source port, the stream itself as oracle. Seeds are in the test names.

import { describe, expect, test } from "@jest/globals";
import { silentLog, systemClock } from "@outcry/protocol";
import { setImmediate as turn } from "node:timers/promises";
import { CURSOR_KEYS, seeded, testPolicy } from "./engine.fixture.js";
import type { Sink } from "./channels/format.js";
import { GatewayEngine } from "./gateway.js";
import { MemorySource } from "./log/memory-source.fixture.js";
import { nativeFormat } from "./native/native-format.js";
import type { Session } from "./channels/session.js";

const CHANNELS = ["one:x", "one:y", "group:g", "all:"];
const SUBJECTS = ["rt.t.g.x", "rt.t.g.y", "rt.t.h.x", "rt.t.h.z"];
const STEPS = 120;
const HISTORIES = 150 * Number(process.env["OUTCRY_SOAK"] ?? 1);
const limits = {
  ringEventsMax: 12,
  replayMessages: 5,
  fillMessages: 4,
  dispatchSlice: 3,
  heldEventsMax: 6,
  retryMs: 1,
  tailCheckMs: 5,
  headCheckMs: 20,
};

const belongs = (channel: string, subject: string): boolean => {
  const [kind, id] = channel.split(":");
  const [, , group, one] = subject.split(".");
  return kind === "all" || (kind === "group" ? group === id : one === id);
};

/** One subscriber of one channel over all its reconnects: what it saw, and where it was told of a gap. */
class Reader implements Sink {
  readonly id = "reader";
  readonly format = nativeFormat;
  readonly channel: string;
  readonly seen: number[] = [];
  /** Segments that must be whole: numbers seen since the last gap that was told, and what the stream had at its beginning. */
  gaps = 0;
  cursor: string | undefined;
  session: Session | undefined;
  open = false;
  free = 1_000;
  #wake: (() => void)[] = [];

  constructor(channel: string) {
    this.channel = channel;
  }
  offer(frame: Buffer): boolean {
    if (this.free <= 0) return false;
    this.free--;
    const message = JSON.parse(frame.subarray(frame.length < 128 ? 2 : 4).toString()) as {
      c?: string;
      pos?: string;
      reset?: { c: string };
      d?: { n: number };
    };
    if (!this.open) return true; // a socket that the reader has left
    this.cursor = message.c ?? message.pos ?? message.reset?.c ?? this.cursor;
    if (message.reset !== undefined) this.gap();
    if (message.d !== undefined) this.seen.push(message.d.n);
    return true;
  }
  gap(): void {
    this.gaps++;
    this.seen.push(-1);
  }
  async ready(): Promise<boolean> {
    if (this.free <= 0) await new Promise<void>((resolve) => this.#wake.push(resolve));
    return this.open;
  }
  drain(frames: number): void {
    this.free += frames;
    for (const wake of this.#wake.splice(0)) wake();
  }
}

async function history(
  seed: number,
  destructive: boolean,
): Promise<{ readers: Reader[]; published: { n: number; subject: string }[]; resets: number }> {
  const random = seeded(seed);
  const source = new MemorySource();
  source.fate = () => {
    const roll = random();
    return roll < 0.08 ? "lost" : roll < 0.12 ? "late" : roll < 0.16 ? "twice" : "now";
  };
  const published: { n: number; subject: string }[] = [];
  const publish = () => {
    const subject = SUBJECTS[Math.floor(random() * SUBJECTS.length)]!;
    published.push({ n: published.length + 1, subject });
    source.publish(subject, published.length);
  };
  const started = async () => {
    const engine = new GatewayEngine({
      source,
      policy: testPolicy,
      cursorKeys: CURSOR_KEYS,
      clock: systemClock,
      log: silentLog,
      limits,
    });
    await engine.start();
    return engine;
  };
  for (let count = 0; count < 5; count++) publish();
  let engine = await started();
  const readers = [...CHANNELS, ...CHANNELS].map((channel) => new Reader(channel));
  const leave = (reader: Reader) => {
    reader.open = false;
    reader.session?.close();
    reader.drain(0);
  };
  const enter = async (reader: Reader) => {
    reader.open = true;
    reader.drain(1_000);
    reader.session = engine.open({ id: "p", role: "buyer", credential: "p" }, reader);
    const announce = (opened: { cursor: string; recovered?: boolean }) => {
      reader.cursor = opened.cursor;
      if (opened.recovered === false) reader.gap();
    };
    const options = reader.cursor === undefined ? { from: "start" as const, announce } : { announce };
    return reader.session.subscribe(reader.channel, reader.cursor, options);
  };
  const insist = async (reader: Reader) => {
    leave(reader);
    for (let result = await enter(reader); result.kind === "refused"; result = await enter(reader)) {
      if (result.code !== "dependency_unavailable") throw new Error(result.code);
    }
  };

  for (let step = 0; step < STEPS; step++) {
    const roll = random();
    const reader = readers[Math.floor(random() * readers.length)]!;
    if (roll < 0.5) for (let count = 1 + random() * 6; count > 0; count--) publish();
    else if (roll < 0.6) source.deliverLate();
    else if (roll < 0.7) await turn();
    else if (roll < 0.8) leave(reader);
    else if (roll < 0.88) {
      leave(reader);
      void enter(reader);
    } else if (roll < 0.91) reader.free = Math.floor(random() * 4);
    else if (roll < 0.94) reader.drain(1_000);
    else if (roll < 0.96) source.setUp(!source.up);
    else if (roll < 0.97) {
      source.setUp(true);
      readers.forEach(leave);
      engine.stop();
      engine = await started();
    } else if (destructive && roll < 0.985) source.trim(Math.floor(random() * 10));
    else if (destructive && roll > 0.995) {
      source.recreate(`e-${step}`);
      source.setUp(false);
      source.setUp(true);
    }
    if (random() < 0.3) await turn();
  }
  source.setUp(true);
  source.fate = () => "now";
  publish();
  for (const reader of readers) await insist(reader);
  publish();
  await settle(engine, readers, published, source);
  engine.stop();
  return { readers, published, resets: engine.liveLog.counters.resets };
}

/** Until every reader has the last event of its channel that there is. */
async function settle(
  engine: GatewayEngine,
  readers: Reader[],
  published: { n: number; subject: string }[],
  source: MemorySource,
): Promise<void> {
  for (let turns = 0; turns < 5_000; turns++) {
    const head = source.trimmed + source.messages.length;
    const whole = readers.every((reader) => {
      const last = published.findLast(({ subject }) => belongs(reader.channel, subject))?.n;
      return last === undefined || reader.seen.at(-1) === last || reader.seen.at(-1) === -1;
    });
    if (engine.liveLog.last === head && engine.liveLog.ready && whole) return;
    await turn();
  }
}

/** Inside a segment without a told gap: exactly what the channel got, in order, each once. */
function check(reader: Reader, published: { n: number; subject: string }[]): string | undefined {
  const mine = published.filter(({ subject }) => belongs(reader.channel, subject)).map(({ n }) => n);
  let at = 0;
  let free = true; // behind a gap any later event may be the next one
  for (const n of reader.seen) {
    if (n === -1) free = true;
    else {
      const found = mine.indexOf(n, at);
      if (found < 0) return `${reader.channel}: ${n} is doubled, out of order or foreign`;
      if (!free && found !== at) return `${reader.channel}: ${mine[at]} is missing before ${n}`;
      free = false;
      at = found + 1;
    }
  }
  return free || at === mine.length ? undefined : `${reader.channel}: ends before ${mine[at]} of ${mine.at(-1)}`;
}

describe("random histories of loss, doubling, reordering, slow readers, outages and restarts", () => {
  test(
    `4.3: nothing missed, nothing doubled, order kept, no gap told (seeds 1 to ${HISTORIES})`,
    async () => {
      for (let seed = 1; seed <= HISTORIES; seed++) {
        const { readers, published } = await history(seed, false);
        for (const reader of readers) {
          expect({ seed, wrong: check(reader, published), gaps: reader.gaps }).toEqual({
            seed,
            wrong: undefined,
            gaps: 0,
          });
        }
      }
    },
    HISTORIES * 800,
  );

  test(
    `4.4, 4.8: with trimming and streams made anew every gap is told (seeds 1 to ${HISTORIES})`,
    async () => {
      let gaps = 0;
      let resets = 0;
      for (let seed = 1; seed <= HISTORIES; seed++) {
        const run = await history(seed, true);
        resets += run.resets;
        for (const reader of run.readers) {
          gaps += reader.gaps;
          expect({ seed, wrong: check(reader, run.published) }).toEqual({ seed, wrong: undefined });
        }
      }
      expect(gaps).toBeGreaterThan(0);
      expect(resets).toBeGreaterThan(0);
    },
    HISTORIES * 800,
  );
});

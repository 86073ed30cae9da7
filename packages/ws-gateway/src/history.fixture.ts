// One random history: several readers that come and go at two gateways on one source, while what is published is lost, doubled and delayed on
// its way to each, gateways and source go down and come back, and, where wished, the stream is trimmed and made anew.

import { silentLog, systemClock } from "@outcry/protocol";
import { setImmediate as turn } from "node:timers/promises";
import { CURSOR_KEYS, seeded, testPolicy } from "./engine.fixture.js";
import { GatewayEngine } from "./gateway.js";
import { belongs, HistoryReader, type Published } from "./history-reader.fixture.js";
import type { EventSource } from "./log/event-source.js";

const CHANNELS = ["one:x", "one:y", "group:g", "all:"];
const SUBJECTS = ["rt.t.g.x", "rt.t.g.y", "rt.t.h.x", "rt.t.h.z"];
const GATEWAYS = 2;
const SETTLES_WITHIN_MS = 10_000;
const limits = {
  ringEventsMax: 12,
  replayMessages: 5,
  replayPartBytesMax: 150, // two events, so that a queue may be full in the middle of a page
  fillMessages: 4,
  dispatchSlice: 3,
  heldEventsMax: 6,
  retryMs: 1,
  tailCheckMs: 5,
  headCheckMs: 20,
};

/** The source with its faults, and the stream behind it. */
export interface HistoryWorld {
  /** As one gateway has it, with losses of its own. */
  source(): EventSource;
  /** Resolves when the stream has it. */
  publish(subject: string, n: number): Promise<void> | void;
  /** What is late arrives. */
  deliverLate(): void;
  /** Down, or up again; or both in one. */
  toggle(): Promise<void> | void;
  /** Up, if it is not. */
  bringUp(): void;
  /** From now on nothing is lost. */
  calm(): void;
  trim(count: number): Promise<void> | void;
  /** Empty, under another epoch. */
  recreate(): Promise<void> | void;
}

export interface HistoryOptions {
  readonly steps: number;
  /** Trims the stream and makes it anew, too. */
  readonly destructive: boolean;
}

export interface HistoryResult {
  readonly readers: readonly HistoryReader[];
  readonly published: readonly Published[];
  /** Numbers that begin a stream. */
  readonly starts: readonly number[];
  readonly resets: number;
  readonly killed: number;
}

export class History {
  readonly #world: HistoryWorld;
  readonly #random: () => number;
  readonly #options: HistoryOptions;
  readonly #readers = [...CHANNELS, ...CHANNELS].map((channel) => new HistoryReader(channel));
  readonly #head: EventSource;
  readonly #published: Published[] = [];
  readonly #engines: (GatewayEngine | undefined)[] = [];
  readonly #starts = [1];
  #resets = 0;
  #killed = 0;

  constructor(world: HistoryWorld, seed: number, options: HistoryOptions) {
    this.#world = world;
    this.#head = world.source();
    this.#random = seeded(seed);
    this.#options = options;
  }

  async run(): Promise<HistoryResult> {
    try {
      for (let count = 0; count < 5; count++) await this.#publish();
      for (let at = 0; at < GATEWAYS; at++) await this.#start(at);
      for (let step = 0; step < this.#options.steps; step++) {
        await this.#step(this.#random());
        if (this.#random() < 0.3) await turn();
      }
      await this.#settle();
    } finally {
      for (let at = 0; at < GATEWAYS; at++) this.#kill(at);
    }
    const killed = this.#killed - GATEWAYS;
    return { readers: this.#readers, published: this.#published, starts: this.#starts, resets: this.#resets, killed };
  }

  async #step(roll: number): Promise<void> {
    const reader = this.#pick(this.#readers);
    const { destructive } = this.#options;
    if (roll < 0.46) for (let count = 1 + this.#upTo(6); count > 0; count--) await this.#publish();
    else if (roll < 0.56) this.#world.deliverLate();
    else if (roll < 0.64) await turn();
    else if (roll < 0.72) reader.leave();
    else if (roll < 0.84) void this.#enter(reader);
    else if (roll < 0.88) reader.free = this.#upTo(4);
    else if (roll < 0.91) reader.drain(1_000);
    else if (roll < 0.93) await this.#world.toggle();
    else if (roll < 0.945) this.#kill(this.#upTo(GATEWAYS));
    else if (roll < 0.965) await this.#restart(this.#upTo(GATEWAYS));
    else if (destructive && roll < 0.985) await this.#world.trim(this.#upTo(10));
    else if (destructive && roll < 0.995) await this.#recreate();
  }

  async #recreate(): Promise<void> {
    this.#starts.push(this.#published.length + 1);
    await this.#world.recreate();
  }

  /** Everything heals, everybody comes back to either gateway, and each channel gets one more event. */
  async #settle(): Promise<void> {
    this.#world.calm();
    this.#world.bringUp();
    for (let at = 0; at < GATEWAYS; at++) await this.#restart(at);
    await this.#publish();
    for (const reader of this.#readers) await this.#insist(reader);
    // One that has not yet noticed that the stream was made anew would pass over what comes now, and say so.
    await this.#until(async () =>
      (await Promise.all(this.#engines.map((engine) => this.#isAtHead(engine)))).every(Boolean),
    );
    // Nor has a reader whose place is of the lost stream, until it has been told.
    await this.#until(() => this.#readers.every((reader) => reader.isLive));
    for (const subject of SUBJECTS) await this.#publish(subject);
    const last = (channel: string) => this.#published.findLast(({ subject }) => belongs(channel, subject))?.n;
    await this.#until(() => this.#readers.every((reader) => reader.last === last(reader.channel)));
  }

  async #isAtHead(engine: GatewayEngine | undefined): Promise<boolean> {
    const { epoch, lastSeq } = await this.#head.head();
    return (
      engine !== undefined && engine.liveLog.epoch === epoch && engine.liveLog.last === lastSeq && engine.liveLog.ready
    );
  }

  /** Gives up in silence: the judge says what is missing. */
  async #until(check: () => boolean | Promise<boolean>): Promise<void> {
    const until = performance.now() + SETTLES_WITHIN_MS;
    while (!(await check()) && performance.now() < until) await turn();
  }

  async #publish(subject = this.#pick(SUBJECTS)): Promise<void> {
    const n = this.#published.length + 1;
    await this.#world.publish(subject, n);
    this.#published.push({ n, subject });
  }

  async #enter(reader: HistoryReader) {
    const alive = this.#engines.filter((engine) => engine !== undefined);
    return alive.length === 0 ? undefined : reader.enter(this.#pick(alive));
  }

  async #insist(reader: HistoryReader): Promise<void> {
    const until = performance.now() + SETTLES_WITHIN_MS;
    for (let result = await this.#enter(reader); result?.kind !== "subscribed"; result = await this.#enter(reader)) {
      if (result?.kind === "refused" && result.code !== "dependency_unavailable") throw new Error(result.code);
      if (performance.now() > until) throw new Error(`${reader.channel} could not be subscribed`);
      await turn();
    }
  }

  /** As kill -9 is to its readers: nothing is said, and what was on its way is lost. */
  #kill(at: number): void {
    const engine = this.#engines[at];
    if (engine === undefined) return;
    for (const reader of this.#readers) if (reader.isAt(engine)) reader.leave();
    engine.stop();
    this.#resets += engine.liveLog.counters.resets;
    this.#killed++;
    this.#engines[at] = undefined;
  }

  async #restart(at: number): Promise<void> {
    if (this.#engines[at] !== undefined) return;
    this.#world.bringUp(); // else its start would wait for ever
    await this.#start(at);
  }

  async #start(at: number): Promise<void> {
    const engine = new GatewayEngine({
      source: this.#world.source(),
      policy: testPolicy,
      cursorKeys: CURSOR_KEYS,
      clock: systemClock,
      log: silentLog,
      limits,
    });
    await engine.start();
    this.#engines[at] = engine;
  }

  #upTo(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#upTo(values.length)]!;
  }
}

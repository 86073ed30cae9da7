// The stream as one process sees it: every event once, in order, without a hole, whatever the live path loses or doubles.
// ADR-28's live messages are at most once, so contiguity is checked over the whole stream (per-subject chains miss losses on
// wildcard channels) and holes are filled by unfiltered reads before anything behind them is dispatched.

import { type Log, OutcryError } from "@outcry/protocol";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import type { EventSource, SourceHead, SourceMessage } from "./event-source.js";
import { HeldMessages } from "./held-messages.js";
import type { GatewayLimits } from "../limits.js";
import { Ring } from "./ring.js";

export type ResetReason = "epoch" | "trimmed";

export interface LiveLogDeps {
  readonly source: EventSource;
  readonly log: Log;
  readonly limits: GatewayLimits;
  readonly onEvent: (event: SourceMessage) => void;
  /** Events were passed over and will not be dispatched; `last` is the new head. */
  readonly onReset: (reason: ResetReason) => void;
}

export class LiveLog {
  /** Sequence and time of the last dispatched event: the verified head. */
  last = 0;
  lastTime = 0;
  epoch = "";
  /** Of the stream, as it was looked at last. */
  firstSeq = 0;
  /** Counts resets: positions of an earlier generation mean nothing. */
  generation = 0;
  readonly ring: Ring;
  readonly counters = {
    heard: 0,
    doubled: 0,
    holes: 0,
    filled: 0,
    tailChecks: 0,
    headChecks: 0,
    resets: 0,
    failures: 0,
  };
  readonly #deps: LiveLogDeps;
  readonly #held: HeldMessages;
  readonly #waiting = new Set<{ seq: number; done: () => void }>();
  readonly #stopping: (() => void)[] = [];
  readonly #firstVerified = deferred();
  /** The head was proven since the connection came up. */
  #verified = false;
  /** Changes when the connection goes or comes: a proof from before says nothing of what is heard since. */
  #connection = 0;
  #repairing = false;
  #repairAgain = false;
  #stopped = false;
  #looking = false;
  /** When the stream was made: an empty one has no time of its own to tell what is late of the one before. */
  #createdAt = 0;
  #seenAtLook = 0;
  #headCheckedAt = 0;

  constructor(deps: LiveLogDeps) {
    this.#deps = deps;
    this.#held = new HeldMessages({ eventsMax: deps.limits.heldEventsMax, bytesMax: deps.limits.heldBytesMax });
    this.ring = new Ring({ bytesMax: deps.limits.ringBytesMax, eventsMax: deps.limits.ringEventsMax });
  }

  /** False while the head is unproven: the server is away, or the stream is gone. */
  get ready(): boolean {
    return this.#verified && this.#deps.source.up;
  }

  /** Resolves when the head is known for the first time. */
  async start(): Promise<void> {
    const { source, limits } = this.#deps;
    this.#stopping.push(
      source.listen((message) => this.#onMessage(message)),
      source.onUp((up) => this.#onUp(up)),
    );
    const timer = setInterval(() => void this.#look(), limits.tailCheckMs);
    this.#stopping.push(() => clearInterval(timer));
    this.#repair();
    await this.#firstVerified.promise;
  }

  stop(): void {
    this.#stopped = true;
    this.#firstVerified.resolve();
    for (const stop of this.#stopping) stop();
    for (const waiter of this.#waiting) waiter.done();
  }

  /** True when `seq` is dispatched, false when it is not within the time. */
  async reach(seq: number, withinMs: number): Promise<boolean> {
    if (this.last < seq) {
      this.#repair();
      await new Promise<void>((resolve) => {
        const done = () => (clearTimeout(timer), this.#waiting.delete(waiter), resolve());
        const waiter = { seq, done };
        const timer = setTimeout(done, withinMs);
        this.#waiting.add(waiter);
      });
    }
    return this.last >= seq;
  }

  /** Looks at once whether this is still the same stream. */
  check(): void {
    this.#repair();
  }

  #onMessage(message: SourceMessage): void {
    this.counters.heard++;
    const next = message.seq === this.last + 1;
    if (next && !this.#isStraggler(message) && this.#verified && !this.#repairing) return this.#accept(message);
    if (message.seq <= this.last && this.#verified) {
      this.counters.doubled++;
      // In one stream an earlier sequence is not newer: this is another stream, or its clock was set back.
      if (message.time > this.lastTime) this.#repair();
      return;
    }
    if (!this.#repairing) this.counters.holes++;
    this.#held.add(message); // what finds no room is read from the record
    this.#repair();
  }

  #accept(event: SourceMessage): void {
    const { seq, time } = event;
    this.last = seq;
    this.lastTime = time;
    this.ring.push(event);
    try {
      this.#deps.onEvent(event);
    } catch (error) {
      this.counters.failures++;
      this.#deps.log.error({ seq, error: String(error) }, "gateway: an event could not be dispatched");
    }
    if (this.#waiting.size > 0) for (const waiter of this.#waiting) if (waiter.seq <= seq) waiter.done();
  }

  #onUp(up: boolean): void {
    this.#verified = false; // what was published meanwhile was not heard, and the stream may be another one
    this.#connection++;
    if (up) this.#repair();
  }

  /** One repair at a time; a wish during one causes another behind it. */
  #repair(): void {
    this.#repairAgain = true;
    if (!this.#repairing) void this.#repairUntilWhole();
  }

  async #repairUntilWhole(): Promise<void> {
    this.#repairing = true;
    while (this.#repairAgain && !this.#stopped) {
      this.#repairAgain = false;
      try {
        await this.#repairOnce();
      } catch (error) {
        if (this.#verified) this.#deps.log.warn({ error: String(error) }, "gateway: the stream cannot be read");
        this.#verified = false;
        this.#repairAgain = this.#deps.source.up; // else the next connection begins anew
        await sleep(this.#deps.limits.retryMs, undefined, { ref: false });
      }
    }
    this.#repairing = false;
  }

  async #repairOnce(): Promise<void> {
    const connection = this.#connection;
    const head = await this.#deps.source.head();
    this.counters.headChecks++;
    this.#headCheckedAt = performance.now();
    this.#adopt(head);
    while (this.last < head.lastSeq && !this.#stopped) await this.#fill();
    await this.#release(connection);
    if (connection !== this.#connection) return; // its coming is a wish for another repair
    this.#verified = true;
    this.#firstVerified.resolve();
  }

  /** Takes the head as proof of identity: another epoch, or a stream that ends before what was seen, is another stream. */
  #adopt({ epoch, firstSeq, lastSeq, lastTime, createdAt }: SourceHead): void {
    this.#createdAt = createdAt;
    this.firstSeq = firstSeq;
    if (this.epoch === "") {
      this.epoch = epoch;
      this.#jump(lastSeq, lastTime);
    } else if (epoch !== this.epoch || lastSeq < this.last) {
      this.epoch = epoch;
      this.#held.clear(); // some may be of the lost stream; those of this one are read again
      this.#repairAgain = true;
      this.#reset("epoch", lastSeq, lastTime);
    } else if (firstSeq > this.last + 1) {
      this.#reset("trimmed", firstSeq - 1, this.lastTime);
    }
  }

  async #fill(): Promise<void> {
    const { source, limits } = this.#deps;
    const { generation } = this;
    const { messages } = await source.read({
      seq: this.last + 1,
      batch: limits.fillMessages,
      bytesMax: limits.fillBytesMax,
    });
    this.#adopt(await source.head()); // proves that the page is of this stream: it may have been replaced behind the last look
    if (generation !== this.generation) return;
    if (messages.length === 0)
      throw new OutcryError("dependency_unavailable", "the stream answers less than its own head");
    for (const [at, message] of messages.entries()) {
      if (message.seq <= this.last) continue;
      if (message.seq > this.last + 1) this.#reset("trimmed", message.seq - 1, message.time);
      this.#accept(message);
      this.counters.filled++;
      if (at % limits.dispatchSlice === limits.dispatchSlice - 1) await nextTurn();
    }
  }

  /** Dispatches what was held back, up to the next hole, as long as it is of the connection that the stream was proven on. */
  async #release(connection: number): Promise<void> {
    for (let count = 0; connection === this.#connection;) {
      const next = this.#held.take(this.last);
      if (next === undefined) break;
      if (this.#isStraggler(next)) this.#repairAgain = true;
      else this.#accept(next);
      if (++count % this.#deps.limits.dispatchSlice === 0) await nextTurn();
    }
    if (this.#held.size > 0) this.#repairAgain = true;
  }

  /** Older than its predecessor: of a stream that was replaced (or the clock was set back). The record decides. */
  #isStraggler(message: SourceMessage): boolean {
    return message.time < Math.max(this.lastTime, this.#createdAt);
  }

  #reset(reason: ResetReason, last: number, time: number): void {
    this.#deps.log.error(
      { reason, from: this.last, to: last },
      "gateway: events were lost to this process; subscriptions are reset",
    );
    this.counters.resets++;
    this.#jump(last, time);
    this.#deps.onReset(reason);
    for (const waiter of this.#waiting) waiter.done();
  }

  #jump(last: number, time: number): void {
    this.last = last;
    this.lastTime = time;
    this.generation++;
    this.ring.clear(last);
    this.#held.forgetUpTo(last);
  }

  /** Looks, without holding anything back, whether all is well; what is not is repaired. */
  async #look(): Promise<void> {
    if (!this.#deps.source.up || this.#repairing || !this.#verified || this.#looking) return;
    this.#looking = true;
    try {
      const isDue = performance.now() - this.#headCheckedAt >= this.#deps.limits.headCheckMs;
      const well = isDue ? await this.#isSameStream() : await this.#isAtTail();
      if (!well) this.#repair();
    } catch {
      this.#repair(); // finds out what is wrong and says so
    } finally {
      this.#looking = false;
    }
  }

  async #isSameStream(): Promise<boolean> {
    const { last } = this;
    const { epoch, firstSeq, lastSeq } = await this.#deps.source.head();
    this.counters.headChecks++;
    this.#headCheckedAt = performance.now();
    if (epoch === this.epoch) this.firstSeq = firstSeq;
    return epoch === this.epoch && lastSeq >= last && firstSeq <= last + 1;
  }

  /** Silence may be a loss: nothing follows the last message of a burst. */
  async #isAtTail(): Promise<boolean> {
    const { source, limits } = this.#deps;
    const isQuiet = this.#seenAtLook === this.last;
    this.#seenAtLook = this.last;
    if (!isQuiet) return true;
    this.counters.tailChecks++;
    const { messages } = await source.read({ seq: this.last + 1, batch: 1, bytesMax: limits.fillBytesMax });
    return messages.length === 0 || messages[0]!.seq <= this.last;
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

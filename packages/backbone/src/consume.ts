// A durable pull consumer whose handler may fail in every way: done → acked; dependency away → kept in hand; broken → tried
// again after a pause; tried too often → set aside by `onExhausted`. Nothing stalls, outages spend no deliveries.

import { setMaxListeners } from "node:events";
import { OutcryError, isTemporary } from "@outcry/protocol";
import type { Log } from "@outcry/protocol";
import type { Backbone } from "./connect.js";
import type { Incoming } from "./headers.js";
import { consumerPlace } from "./consumers.js";
import { LeftBehind } from "./left-behind.js";
import { MAX_ACK_PENDING, PullInbox, ensureConsumer } from "./pull.js";
import type { ConsumerShape } from "./pull.js";
import { RetryLater } from "./retry-later.js";
import { storedFromDelivery } from "./stored.js";
import type { Stored } from "./stored.js";

const CONCURRENCY = 64;
const ACK_WAIT_MS = 3_000; // measured.md: a killed process's messages come again after this
const RETRY_FIRST_MS = 250; // doubles with each delivery
const RETRY_MAX_MS = 30_000;
const HOLD_FIRST_MS = 100; // between two tries of a message in hand
const HOLD_MAX_MS = 2_000;
const REBUILD_MAX_MS = 5_000; // between two tries to find the stream again
const STOP_WITHIN_MS = 10_000;
const LEFT_MARGIN_MS = 1_000; // beyond the ack wait; what has not come again by then waits for a retry of its own
const CAUSES_MAX = 1_000; // remembered failures; an older one is reported without its cause

export interface ConsumedMessage {
  readonly stored: Stored;
  readonly deliveryCount: number;
  /** It may have been handled before, wholly or in part. */
  readonly isRedelivery: boolean;
}

export interface ConsumeOptions {
  readonly stream: string;
  readonly durable: string;
  readonly filters: readonly string[];
  /** Messages handled at a time by this process. */
  readonly concurrency?: number;
  /** Deliveries that the handler gets; one more ends in `onExhausted`. */
  readonly deliveryLimit: number;
  readonly ackWaitMs?: number;
  /** Messages in hand or waiting to come again, over all processes; then nothing new comes. */
  readonly ackPendingMax?: number;
  /** Of a consumer that is made; default: the first one. The same at each start. */
  readonly startSeq?: number;
  /**
   * For a consumer that one process runs at a time: what the process before had in hand is begun in the order of the stream, before
   * anything new. At the start, up to `ackPendingMax` messages are held for that.
   */
  readonly inOrder?: boolean;
  /** Resolves when what the handler needs answers; nothing is pulled before. */
  readonly gate?: () => Promise<void>;
  /**
   * Resolves: done. A temporary OutcryError: a dependency is away, the message stays in hand and is tried again behind the gate.
   * Any other error: the message comes again later, with RetryLater exactly then, and that spends one delivery.
   */
  readonly handler: (message: ConsumedMessage) => Promise<void>;
  /** Must write the message down elsewhere; repeated until it resolves, then the stream forgets it for this consumer. */
  readonly onExhausted: (stored: Stored, deliveries: number, cause: unknown) => Promise<void>;
  readonly log: Log;
}

export interface RunningConsumer {
  readonly inHand: number;
  /** Since the start. */
  readonly counters: { handled: number; failed: number; held: number; exhausted: number; rebuilt: number };
  /** Takes no more, waits for what is in hand, gives the rest back for others. */
  stop(withinMs?: number): Promise<void>;
}

export function runConsumer(backbone: Backbone, options: ConsumeOptions): RunningConsumer {
  const consumer = new Consumer(backbone, options);
  consumer.start();
  return consumer;
}

interface InHand {
  /** Where to acknowledge; the newest one, when the message came again while it was handled. */
  reply: string;
  readonly keepAlive: NodeJS.Timeout;
  done: Promise<void>;
}

const REPLIES = { done: "+ACK", working: "+WPI", setAside: "+TERM" } as const;

class Consumer implements RunningConsumer {
  readonly counters = { handled: 0, failed: 0, held: 0, exhausted: 0, rebuilt: 0 };
  readonly #backbone: Backbone;
  readonly #options: ConsumeOptions;
  readonly #shape: ConsumerShape;
  readonly #inHand = new Map<number, InHand>();
  readonly #causes = new Map<number, Error>();
  readonly #stopping = new AbortController();
  /** Replies to what is given back while a pull may still be open: given back at once, it would come here again. */
  #givenBack: string[] | undefined = [];
  /** Undefined once everything that was left behind is begun. */
  #left: LeftBehind | undefined;
  #running: Promise<void> = Promise.resolve();
  #slotFreed: (() => void) | undefined;

  constructor(backbone: Backbone, options: ConsumeOptions) {
    this.#backbone = backbone;
    this.#options = options;
    this.#left = options.inOrder ? new LeftBehind() : undefined;
    this.#shape = {
      stream: options.stream,
      durable: options.durable,
      filters: options.filters,
      ackWaitMs: options.ackWaitMs ?? ACK_WAIT_MS,
      ...(options.ackPendingMax === undefined ? {} : { ackPendingMax: options.ackPendingMax }),
      ...(options.startSeq === undefined ? {} : { startSeq: options.startSeq }),
    };
  }

  get inHand(): number {
    return this.#inHand.size;
  }

  start(): void {
    setMaxListeners(0, this.#stopping.signal); // one per message in hand: bounded by the concurrency
    this.#running = this.#run();
  }

  async stop(withinMs: number = STOP_WITHIN_MS): Promise<void> {
    this.#stopping.abort();
    this.#slotFreed?.();
    this.#beginAll();
    await this.#running;
    const givenBack = this.#givenBack ?? [];
    this.#givenBack = undefined;
    for (const reply of givenBack) this.#giveBack(reply);
    const finished = Promise.all([...this.#inHand.values()].map((held) => held.done));
    await Promise.race([finished, pause(withinMs)]);
    for (const [seq, held] of this.#inHand) {
      this.#settle(seq, held, "-NAK");
    }
  }

  /** Pulls as many as there are free places, for as long as it runs; a lost consumer is made again. */
  async #run(): Promise<void> {
    const { log, stream, durable } = this.#options;
    const inbox = new PullInbox(this.#backbone, this.#shape, (message) => this.#receive(message));
    let known = false;
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      try {
        known = (await this.#pullOnce(inbox, known)) === "known";
        if (known) failures = 0;
      } catch (error) {
        known = false;
        if (this.#stopping.signal.aborted) break;
        log.warn({ stream, durable, error: String(error) }, "consumer: cannot pull, trying again");
        await this.#untilStopped(pause(Math.min(REBUILD_MAX_MS, RETRY_FIRST_MS * 2 ** failures++)));
      }
    }
    await inbox
      .close()
      .catch((error: unknown) => log.warn({ stream, durable, error: String(error) }, "consumer: not closed in order"));
  }

  async #pullOnce(inbox: PullInbox, known: boolean): Promise<"known" | "lost"> {
    const { stream, durable, gate, concurrency = CONCURRENCY, log } = this.#options;
    const signal = this.#stopping.signal;
    await this.#backbone.health.whenUp(signal);
    await this.#untilStopped(gate?.());
    if (this.#inHand.size >= concurrency) await this.#untilStopped(this.#freeSlot());
    if (!known && !signal.aborted) {
      await ensureConsumer(this.#backbone, this.#shape);
      await this.#askWhatIsLeft();
    }
    if (signal.aborted) return "lost";

    const room = this.#left === undefined ? concurrency : (this.#shape.ackPendingMax ?? MAX_ACK_PENDING);
    const end = await inbox.pull(room - this.#inHand.size, signal);
    if (end === "paused") await this.#untilStopped(pause(RETRY_FIRST_MS));
    if (end !== "lost") return "known";
    this.counters.rebuilt++;
    log.warn({ stream, durable }, "consumer: it is gone or silent, making it again");
    return "lost";
  }

  #receive(message: Incoming): void {
    const delivered = storedFromDelivery(message);
    if (delivered === undefined || message.reply === undefined) return;
    const { stored, deliveryCount } = delivered;
    if (this.#stopping.signal.aborted) return this.#giveBack(message.reply);
    const held = this.#inHand.get(stored.seq);
    if (held !== undefined) {
      held.reply = message.reply; // redelivered although it is in hand: NATS was away for longer than the ack wait
      return;
    }
    const keepAlive = setInterval(() => this.#reply(entry.reply, REPLIES.working), this.#shape.ackWaitMs / 3);
    const entry: InHand = { reply: message.reply, keepAlive, done: Promise.resolve() };
    this.#inHand.set(stored.seq, entry);
    entry.done = this.#begin(entry, { stored, deliveryCount, isRedelivery: deliveryCount > 1 });
  }

  #begin(held: InHand, message: ConsumedMessage): Promise<void> {
    if (this.#left === undefined) return this.#work(held, message);
    return new Promise((resolve) => {
      this.#left!.add(message.stored.seq, () => resolve(this.#work(held, message)));
      if (this.#left!.complete) this.#beginAll();
    });
  }

  async #askWhatIsLeft(): Promise<void> {
    if (this.#left === undefined || this.#left.known) return;
    const place = await consumerPlace(this.#backbone, this.#shape.stream, this.#shape.durable);
    this.#left.expect(place?.inHand ?? 0, place?.deliveredSeq ?? 0);
    if (this.#left.complete) return this.#beginAll();
    void this.#untilStopped(pause(this.#shape.ackWaitMs + LEFT_MARGIN_MS)).then(() => this.#beginAll());
  }

  #beginAll(): void {
    const left = this.#left;
    this.#left = undefined;
    left?.beginAll();
  }

  async #work(held: InHand, message: ConsumedMessage): Promise<void> {
    const { stored, deliveryCount } = message;
    const verdict =
      deliveryCount > this.#options.deliveryLimit ? await this.#setAside(message) : await this.#handle(message);
    if (this.#inHand.get(stored.seq) !== held) return; // given back by stop()
    this.#settle(stored.seq, held, verdict);
    this.#slotFreed?.();
  }

  /** The acknowledgement that the handler has earned. */
  async #handle(message: ConsumedMessage): Promise<string> {
    const { handler, log, stream, durable } = this.#options;
    const { stored, deliveryCount } = message;
    for (let tries = 0; ; tries++) {
      try {
        await handler(tries === 0 ? message : { ...message, isRedelivery: true });
        this.counters.handled++;
        this.#causes.delete(stored.seq);
        return REPLIES.done;
      } catch (error) {
        if (isTemporary(error) && !this.#stopping.signal.aborted) {
          this.counters.held++;
          await this.#dependenciesBack(tries);
          continue;
        }
        if (isTemporary(error)) return "-NAK";
        if (error instanceof RetryLater) return nak(error.delayMs);
        this.counters.failed++;
        this.#remember(stored.seq, error instanceof Error ? error : new Error(String(error)));
        log.warn(
          { stream, durable, seq: stored.seq, deliveryCount, error: String(error) },
          "consumer: the handler failed",
        );
        return nak(jittered(Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** (deliveryCount - 1))));
      }
    }
  }

  /**
   * The server's own limit is off (`max_deliver: -1`): at its own limit it would just stop delivering, silently. Counting at
   * receipt cannot stall either: whatever the handler does to this process, the message comes again after the ack wait with a
   * higher count, until it arrives here, where the handler is not called.
   */
  async #setAside(message: ConsumedMessage): Promise<string> {
    const { onExhausted, log, stream, durable } = this.#options;
    const { stored, deliveryCount } = message;
    const deliveries = deliveryCount - 1;
    const cause =
      this.#causes.get(stored.seq) ??
      new OutcryError("poison_message", `${deliveries} deliveries ended without an answer`);
    for (let tries = 0; ; tries++) {
      try {
        await onExhausted(stored, deliveries, cause);
        this.counters.exhausted++;
        this.#causes.delete(stored.seq);
        log.error(
          { stream, durable, seq: stored.seq, deliveries, cause: String(cause) },
          "consumer: message set aside",
        );
        return REPLIES.setAside;
      } catch (error) {
        if (this.#stopping.signal.aborted) return "-NAK";
        log.error(
          { stream, durable, seq: stored.seq, error: String(error) },
          "consumer: setting aside failed, trying again",
        );
        await this.#dependenciesBack(tries);
      }
    }
  }

  /** Waits out an outage. Ends early when stopping. */
  async #dependenciesBack(tries: number): Promise<void> {
    await this.#untilStopped(pause(Math.min(HOLD_MAX_MS, HOLD_FIRST_MS * 2 ** tries)));
    const back = async () => {
      await this.#backbone.health.whenUp(this.#stopping.signal);
      await this.#options.gate?.();
    };
    await this.#untilStopped(back().catch(() => undefined)); // what is still away, the next try says
  }

  #settle(seq: number, held: InHand, verdict: string): void {
    clearInterval(held.keepAlive);
    this.#inHand.delete(seq);
    if (verdict === "-NAK") this.#giveBack(held.reply);
    else this.#reply(held.reply, verdict);
  }

  /** For another process. */
  #giveBack(reply: string): void {
    if (this.#givenBack === undefined) this.#reply(reply, "-NAK");
    else this.#givenBack.push(reply);
  }

  /** Not sent while NATS is away: then the message comes again, and handling it is idempotent. */
  #reply(subject: string, text: string): void {
    if (this.#backbone.health.up) this.#backbone.publish(subject, Buffer.from(text));
  }

  #remember(seq: number, cause: Error): void {
    this.#causes.set(seq, cause);
    if (this.#causes.size > CAUSES_MAX) this.#causes.delete(this.#causes.keys().next().value!);
  }

  #freeSlot(): Promise<void> {
    return new Promise((resolve) => {
      this.#slotFreed = resolve;
    });
  }

  /** The work's end, or the stop, whichever is first. */
  async #untilStopped(work: Promise<unknown> | undefined): Promise<void> {
    const signal = this.#stopping.signal;
    if (work === undefined || signal.aborted) return;
    let onAbort: (() => void) | undefined;
    const stopped = new Promise<void>((resolve) => {
      onAbort = resolve;
      signal.addEventListener("abort", onAbort, { once: true });
    });
    await Promise.race([work, stopped]).finally(() => signal.removeEventListener("abort", onAbort!));
  }
}

const nak = (delayMs: number): string => `-NAK ${JSON.stringify({ delay: Math.round(delayMs) * 1_000_000 })}`;
const jittered = (ms: number): number => ms * (0.5 + Math.random());

/** Keeps no process alive: the connection does, and once that is closed nothing is waited for. */
const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms).unref());

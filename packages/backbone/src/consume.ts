// A durable pull consumer: pulls as many messages as there are free places, keeps what is in hand alive, acknowledges what each attempt
// earns (consume-attempt.ts), gives the rest back. Nothing stalls, outages spend no deliveries.

import { setMaxListeners } from "node:events";
import type { Backbone } from "./connect.js";
import type { Incoming } from "./headers.js";
import { Attempts, GIVEN_BACK } from "./consume-attempt.js";
import type { AttemptCounters, AttemptOptions, ConsumedMessage } from "./consume-attempt.js";
import { consumerPlace } from "./consumers.js";
import { LeftBehind } from "./left-behind.js";
import { MAX_ACK_PENDING, PullInbox, ensureConsumer } from "./pull.js";
import type { ConsumerShape } from "./pull.js";
import { storedFromDelivery } from "./stored.js";

const CONCURRENCY = 64;
const ACK_WAIT_MS = 3_000; // measured.md: a killed process's messages come again after this
const PAUSE_MS = 250; // doubles between two tries to find the stream again, up to
const PAUSE_MAX_MS = 5_000;
const STOP_WITHIN_MS = 10_000;
const LEFT_MARGIN_MS = 1_000; // beyond the ack wait; what has not come again by then waits for a retry of its own

export interface ConsumeOptions extends AttemptOptions {
  readonly filters: readonly string[];
  /** Messages handled at a time by this process. */
  readonly concurrency?: number;
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
}

export interface RunningConsumer {
  readonly inHand: number;
  /** Since the start. */
  readonly counters: Readonly<AttemptCounters> & { readonly rebuilt: number };
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

const WORKING = "+WPI";

class Consumer implements RunningConsumer {
  readonly #backbone: Backbone;
  readonly #options: ConsumeOptions;
  readonly #shape: ConsumerShape;
  readonly #inHand = new Map<number, InHand>();
  readonly #attempts: Attempts;
  #rebuilt = 0;
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
    this.#attempts = new Attempts(options, this.#stopping.signal, (waitMs) => this.#dependenciesBack(waitMs));
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

  get counters() {
    return { ...this.#attempts.counters, rebuilt: this.#rebuilt };
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
      this.#settle(seq, held, GIVEN_BACK);
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
        await this.#untilStopped(pause(Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** failures++)));
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
    if (end === "paused") await this.#untilStopped(pause(PAUSE_MS));
    if (end !== "lost") return "known";
    this.#rebuilt++;
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
    const keepAlive = setInterval(() => this.#reply(entry.reply, WORKING), this.#shape.ackWaitMs / 3);
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
    const { stored } = message;
    const verdict = await this.#attempts.make(message);
    if (this.#inHand.get(stored.seq) !== held) return; // given back by stop()
    this.#settle(stored.seq, held, verdict);
    this.#slotFreed?.();
  }

  /** Waits out an outage. Ends early when stopping. */
  async #dependenciesBack(waitMs: number): Promise<void> {
    await this.#untilStopped(pause(waitMs));
    const back = async () => {
      await this.#backbone.health.whenUp(this.#stopping.signal);
      await this.#options.gate?.();
    };
    await this.#untilStopped(back().catch(() => undefined)); // what is still away, the next try says
  }

  #settle(seq: number, held: InHand, verdict: string): void {
    clearInterval(held.keepAlive);
    this.#inHand.delete(seq);
    if (verdict === GIVEN_BACK) this.#giveBack(held.reply);
    else this.#reply(held.reply, verdict);
  }

  /** For another process. */
  #giveBack(reply: string): void {
    if (this.#givenBack === undefined) this.#reply(reply, GIVEN_BACK);
    else this.#givenBack.push(reply);
  }

  /** Not sent while NATS is away: then the message comes again, and handling it is idempotent. */
  #reply(subject: string, text: string): void {
    if (this.#backbone.health.up) this.#backbone.publish(subject, Buffer.from(text));
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

/** Keeps no process alive: the connection does, and once that is closed nothing is waited for. */
const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms).unref());

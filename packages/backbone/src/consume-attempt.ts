// What a message earns at one delivery, by what its handler does: done → acked; dependency away → kept in hand and tried again; broken →
// it comes again after a pause; delivered too often → set aside by `onExhausted`.

import { OutcryError, isTemporary } from "@outcry/protocol";
import type { Log } from "@outcry/protocol";
import { RetryLater } from "./retry-later.js";
import type { Stored } from "./stored.js";

const RETRY_FIRST_MS = 250; // doubles with each delivery
const RETRY_MAX_MS = 30_000;
const HOLD_FIRST_MS = 100; // between two tries of a message in hand
const HOLD_MAX_MS = 2_000;
const CAUSES_MAX = 1_000; // remembered failures; an older one is reported without its cause

export interface ConsumedMessage {
  readonly stored: Stored;
  readonly deliveryCount: number;
  /** It may have been handled before, wholly or in part. */
  readonly isRedelivery: boolean;
}

export interface AttemptOptions {
  readonly stream: string;
  readonly durable: string;
  /** Deliveries that the handler gets; one more ends in `onExhausted`. */
  readonly deliveryLimit: number;
  /**
   * Resolves: done. A temporary OutcryError: a dependency is away, the message stays in hand and is tried again behind the gate.
   * Any other error: the message comes again later, with RetryLater exactly then, and that spends one delivery.
   */
  readonly handler: (message: ConsumedMessage) => Promise<void>;
  /** Must write the message down elsewhere; repeated until it resolves, then the stream forgets it for this consumer. */
  readonly onExhausted: (stored: Stored, deliveries: number, cause: unknown) => Promise<void>;
  readonly log: Log;
}

export interface AttemptCounters {
  handled: number;
  failed: number;
  held: number;
  exhausted: number;
}

// JetStream's acknowledgements, as they go over the wire.
const DONE = "+ACK";
export const GIVEN_BACK = "-NAK";
const SET_ASIDE = "+TERM";

export class Attempts {
  readonly counters: AttemptCounters = { handled: 0, failed: 0, held: 0, exhausted: 0 };
  readonly #options: AttemptOptions;
  readonly #stopping: AbortSignal;
  /** Waits out an outage of what the handler needs, and ends early at a stop. */
  readonly #dependenciesBack: (waitMs: number) => Promise<void>;
  readonly #causes = new Map<number, Error>();

  constructor(options: AttemptOptions, stopping: AbortSignal, dependenciesBack: (waitMs: number) => Promise<void>) {
    this.#options = options;
    this.#stopping = stopping;
    this.#dependenciesBack = dependenciesBack;
  }

  /** Resolves with the acknowledgement, however long an outage takes. */
  make(message: ConsumedMessage): Promise<string> {
    return message.deliveryCount > this.#options.deliveryLimit ? this.#setAside(message) : this.#handle(message);
  }

  async #handle(message: ConsumedMessage): Promise<string> {
    const { handler, log, stream, durable } = this.#options;
    const { stored, deliveryCount } = message;
    for (let tries = 0; ; tries++) {
      try {
        await handler(tries === 0 ? message : { ...message, isRedelivery: true });
        this.counters.handled++;
        this.#causes.delete(stored.seq);
        return DONE;
      } catch (error) {
        if (isTemporary(error) && !this.#stopping.aborted) {
          this.counters.held++;
          await this.#dependenciesBack(holdMs(tries));
          continue;
        }
        if (isTemporary(error)) return GIVEN_BACK;
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
        return SET_ASIDE;
      } catch (error) {
        if (this.#stopping.aborted) return GIVEN_BACK;
        log.error(
          { stream, durable, seq: stored.seq, error: String(error) },
          "consumer: setting aside failed, trying again",
        );
        await this.#dependenciesBack(holdMs(tries));
      }
    }
  }

  #remember(seq: number, cause: Error): void {
    this.#causes.set(seq, cause);
    if (this.#causes.size > CAUSES_MAX) this.#causes.delete(this.#causes.keys().next().value!);
  }
}

const holdMs = (tries: number): number => Math.min(HOLD_MAX_MS, HOLD_FIRST_MS * 2 ** tries);
const nak = (delayMs: number): string => `-NAK ${JSON.stringify({ delay: Math.round(delayMs) * 1_000_000 })}`;
const jittered = (ms: number): number => ms * (0.5 + Math.random());

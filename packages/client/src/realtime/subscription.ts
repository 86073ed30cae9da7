// One channel on the wire, over any number of connections: subscribed behind the last message that was queued, again after each break.
// A reader that lets the queue fill up has the channel unsubscribed until half is read: nothing is dropped, the others are not held up.

import { fullJitterMs } from "../backoff.js";
import type { ChannelMessage, ChannelName } from "./channel-types.js";
import type { Connection, Reply } from "./connection.js";
import { REALTIME_LIMITS } from "./limits.js";
import { MessageQueue } from "./message-queue.js";
import { RealtimeError } from "./realtime-error.js";
import type { ChannelFrame } from "./wire-messages.js";

/** What is read from the queue; a position only moves the cursor. */
export type Queued<N extends ChannelName = ChannelName> =
  | ChannelMessage<N>
  | { readonly kind: "position"; readonly cursor: string };

type Placed<N extends ChannelName> = Exclude<Queued<N>, { kind: "end" }>;

export interface SubscriptionDeps {
  readonly bufferMax: number;
  readonly backoff: { readonly baseMs: number; readonly capMs: number };
  readonly random: () => number;
  /** A refusal that may pass; it is tried again. */
  readonly onTrouble: (error: RealtimeError) => void;
  /** Nothing more comes: ended by either side. */
  readonly onOver: () => void;
}

export class Subscription<N extends ChannelName = ChannelName> {
  readonly channel: N;
  readonly queue: MessageQueue<Queued<N>>;
  readonly #deps: SubscriptionDeps;
  readonly #known = new Set<string>();
  #connection: Connection | undefined;
  #cursor: string | undefined;
  #fromStart = false;
  /** Set once the place to begin at is known. */
  #placed = false;
  /** The subscription that a reply is awaited for; replies to older ones say nothing any more. */
  #asked: object | undefined;
  #live = false;
  #paused = false;
  #over = false;
  #subscribed = false;
  readonly #awaiting: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  #error: unknown;
  /** The reply to come answers a resume, not a pause of the reader. */
  #resuming = false;
  /** Events since a resume, until it is over. */
  #recovered: number | undefined;
  #lostPlace = false;
  #attempt = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(channel: N, deps: SubscriptionDeps) {
    this.channel = channel;
    this.#deps = deps;
    this.queue = new MessageQueue(deps.bufferMax);
  }

  get over(): boolean {
    return this.#over;
  }

  /** Resolves once subscribed; rejects when it ended before. */
  ready(): Promise<void> {
    if (this.#subscribed) return Promise.resolve();
    const ready = new Promise<void>((resolve, reject) => this.#awaiting.push({ resolve, reject }));
    if (this.#over) this.#rejectReady();
    return ready;
  }

  /** Where to begin: behind a cursor, at the start, or at the head. */
  begin(cursor: string | undefined, fromStart: boolean): void {
    this.#cursor = cursor;
    this.#fromStart = fromStart;
    this.#resuming = cursor !== undefined;
    this.#placed = true;
    this.#ask();
  }

  connected(connection: Connection): void {
    this.#connection = connection;
    this.#ask();
  }

  disconnected(): void {
    this.#silent();
    this.#connection = undefined;
    this.#resuming = this.#cursor !== undefined;
  }

  onFrame(frame: ChannelFrame): void {
    if (!this.#live) return; // of a subscription that was given up: it comes again behind the cursor
    switch (frame.kind) {
      case "event":
        return this.#onEvent(frame);
      case "position":
        this.#push(frame);
        return this.#tellRecovered();
      case "reset":
        return this.#gap(frame.reason, frame.cursor);
      case "end":
        this.queue.push({ kind: "end", channel: this.channel, code: frame.code });
        return this.#close();
    }
  }

  /** After what is queued the reader gets the error. */
  fail(error: unknown): void {
    this.#close(error);
  }

  /** What is queued is dropped; the reader gets the error, or the end. */
  stop(error?: unknown): void {
    this.queue.clear();
    if (this.#live || this.#asked !== undefined)
      this.#connection?.command({ op: "unsub", ch: this.channel }, () => undefined);
    this.#close(error);
  }

  #close(error?: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#silent();
    this.queue.end(error);
    this.#error = error ?? new RealtimeError("closed", "the channel was closed", { channel: this.channel });
    this.#rejectReady();
    this.#deps.onOver();
  }

  #rejectReady(): void {
    for (const { reject } of this.#awaiting.splice(0)) reject(this.#error);
  }

  /** Takes nothing in until it has subscribed again. */
  #silent(): void {
    clearTimeout(this.#retry);
    this.#asked = undefined;
    this.#live = false;
  }

  #ask(): void {
    if (this.#connection === undefined || !this.#placed || this.#paused || this.#over) return;
    const asked = (this.#asked = {});
    const place = this.#cursor === undefined ? (this.#fromStart ? { from: "start" } : {}) : { cur: this.#cursor };
    this.#connection.command({ op: "sub", ch: this.channel, ...place }, (reply) => {
      if (this.#asked === asked) this.#onReply(reply);
    });
  }

  #onReply(reply: Reply): void {
    this.#asked = undefined;
    if (reply.kind === "ok") return this.#onSubscribed(reply.ok);
    const { code, detail, temporary } = reply;
    if (code === "cursor_invalid" && this.#cursor !== undefined) {
      this.#lostPlace = true;
      this.#cursor = undefined;
      return this.#ask();
    }
    const error = new RealtimeError(code, detail, { temporary, channel: this.channel });
    if (!temporary) return this.#close(error);
    this.#deps.onTrouble(error);
    this.#retry = setTimeout(() => this.#ask(), fullJitterMs(this.#attempt++, this.#deps.backoff, this.#deps.random));
  }

  #onSubscribed({ c, recovered, reason }: Record<string, unknown>): void {
    if (typeof c !== "string") return this.#close(new RealtimeError("internal", "the gateway gave no cursor"));
    this.#live = true;
    this.#attempt = 0;
    const whole = recovered !== false && !this.#lostPlace;
    if (whole && this.#resuming) this.#recovered ??= 0;
    this.#resuming = false;
    if (whole) this.#push({ kind: "position", cursor: c });
    else this.#gap(this.#lostPlace ? "cursor_invalid" : typeof reason === "string" ? reason : "", c);
    this.#lostPlace = false;
    this.#subscribed = true;
    for (const { resolve } of this.#awaiting.splice(0)) resolve();
  }

  #onEvent({ cursor, event }: ChannelFrame & { kind: "event" }): void {
    if (event !== null && this.#repeats(event.id)) return this.#push({ kind: "position", cursor });
    if (this.#recovered !== undefined) this.#recovered++;
    const at = { channel: this.channel, cursor };
    // Which events a channel carries is the gateway's promise (docs/gateway-protocol.md §7).
    this.#push(event === null ? { kind: "unreadable", ...at } : ({ kind: "event", ...at, event } as Placed<N>));
  }

  #gap(reason: string, cursor: string): void {
    this.#recovered = undefined;
    this.#push({ kind: "gap", channel: this.channel, cursor, reason });
  }

  #tellRecovered(): void {
    if (this.#recovered === undefined) return;
    const events = this.#recovered;
    this.#recovered = undefined;
    this.#push({ kind: "recovered", channel: this.channel, cursor: this.#cursor!, events });
  }

  /** The place moves with the queue, not with the reader: what is queued is not asked for again. */
  #push(message: Placed<N>): void {
    this.#cursor = message.cursor;
    this.queue.push(message);
    if (this.#live && this.queue.full) void this.#pause();
  }

  async #pause(): Promise<void> {
    this.#silent();
    this.#paused = true;
    this.#connection?.command({ op: "unsub", ch: this.channel }, () => undefined);
    const leastMs = new Promise((resolve) => setTimeout(resolve, REALTIME_LIMITS.pausedAtLeastMs));
    await Promise.all([this.queue.room(), leastMs]);
    this.#paused = false;
    this.#ask();
  }

  /** A second line behind the cursors: the gateway promises each event once. */
  #repeats(id: string | undefined): boolean {
    if (id === undefined) return false;
    if (this.#known.has(id)) return true;
    this.#known.add(id);
    if (this.#known.size > REALTIME_LIMITS.knownEventsMax) this.#known.delete(this.#known.values().next().value!);
    return false;
  }
}

// One channel for the application: read by listeners or by one `for await`, in order, one message after the other.
// The cursor moves, and is saved, once a message was dealt with: behind a crash the last ones come again (at least once).

import type { ChannelMessage, ChannelName, EventOf, EventTypeOf } from "./channel-types.js";
import { CursorSaver, type CursorStore } from "./cursor-store.js";
import { Listeners } from "./listeners.js";
import { RealtimeError, textOf } from "./realtime-error.js";
import type { Queued, Subscription } from "./subscription.js";

export interface ChannelOptions {
  /** Where to resume; goes before what the cursor store has. */
  cursor?: string;
  /** Without a cursor: from the oldest event kept instead of from now on. */
  from?: "start";
  /** Messages that may wait for their reader. Beyond it the channel is left at the gateway until half is read; nothing is dropped. */
  bufferMax?: number;
  /** Closes the channel; a `for await` throws its reason. */
  signal?: AbortSignal;
}

type MessageOf<N extends ChannelName, K extends ChannelMessage["kind"]> = Extract<ChannelMessage<N>, { kind: K }>;

/** A listener that returns a promise is waited for. */
export interface ChannelListeners<N extends ChannelName> {
  event: (event: EventOf<N>, message: MessageOf<N, "event">) => unknown;
  unreadable: (message: MessageOf<N, "unreadable">) => unknown;
  gap: (message: MessageOf<N, "gap">) => unknown;
  recovered: (message: MessageOf<N, "recovered">) => unknown;
  end: (message: MessageOf<N, "end">) => unknown;
  /** A refusal, or what a listener threw. `temporary`: it is being tried again; else the channel is closed. */
  error: (error: RealtimeError) => unknown;
}

export interface ChannelDeps {
  readonly cursors: CursorStore;
  /** How many listen for errors there. */
  readonly onError: (error: RealtimeError) => number;
}

export class Channel<N extends ChannelName = ChannelName> implements AsyncIterable<ChannelMessage<N>> {
  readonly name: N;
  readonly #subscription: Subscription<N>;
  readonly #options: ChannelOptions;
  readonly #deps: ChannelDeps;
  readonly #saver: CursorSaver;
  readonly #listeners = new Listeners<Record<string, (...given: never[]) => unknown>>();
  #reader: "none" | "listeners" | "iterator" = "none";
  #cursor: string | undefined;
  #saveFailed = false;

  /** Made by `realtime.channel()`. */
  constructor(subscription: Subscription<N>, options: ChannelOptions, deps: ChannelDeps) {
    this.name = subscription.channel;
    this.#subscription = subscription;
    this.#options = options;
    this.#deps = deps;
    this.#saver = new CursorSaver(deps.cursors, this.name, (error) => this.#onSaveFailure(error));
    options.signal?.addEventListener("abort", this.#abort, { once: true });
    if (options.signal?.aborted === true) this.#abort();
    else void this.#begin();
  }

  /** Behind everything that was dealt with: what to resume with. */
  get cursor(): string | undefined {
    return this.#cursor;
  }

  /** Resolves once subscribed; rejects when that was refused or the channel was closed before. */
  ready(): Promise<void> {
    return this.#subscription.ready();
  }

  /** All events, or those of one type, or what else the channel says. Returns how to take the listener away. */
  on<K extends keyof ChannelListeners<N>>(name: K, listener: ChannelListeners<N>[K]): () => void;
  on<T extends EventTypeOf<N>>(
    type: T,
    listener: (event: EventOf<N, T>, message: MessageOf<N, "event">) => unknown,
  ): () => void;
  on(name: string, listener: (...given: never[]) => unknown): () => void {
    if (name !== "error") this.#readBy("listeners");
    return this.#listeners.add(name, listener);
  }

  /** Leaving the loop closes the channel; the message that it was left at counts as not dealt with. */
  [Symbol.asyncIterator](): AsyncIterator<ChannelMessage<N>, undefined> {
    this.#readBy("iterator");
    let before: Queued<N> | undefined;
    return {
      next: async () => {
        if (before !== undefined) this.#dealtWith(before);
        before = await this.#next();
        return before === undefined ? { done: true, value: undefined } : { done: false, value: before };
      },
      return: async () => {
        await this.close();
        return { done: true, value: undefined };
      },
    };
  }

  /** Unsubscribes; what was not read yet is dropped. Resolves once the cursor is saved. */
  async close(): Promise<void> {
    this.#stop();
    await this.#saver.flush();
  }

  /** Not the application's: a refusal that may pass. */
  tellTrouble(error: RealtimeError): void {
    this.#tellError(error);
  }

  async #begin(): Promise<void> {
    const { cursor, from } = this.#options;
    try {
      this.#cursor = cursor ?? (await this.#deps.cursors.get(this.name));
      this.#subscription.begin(this.#cursor, from === "start");
    } catch (cause) {
      this.#subscription.fail(this.#errorOf("cursor_not_read", cause)); // without its place it would hide a gap
    }
  }

  #readBy(reader: "listeners" | "iterator"): void {
    const before = this.#reader;
    if (before === "iterator" || (before === "listeners" && reader === "iterator"))
      throw new RealtimeError("channel_in_use", `${this.name} is read by ${before === "iterator" ? "a loop" : before}`);
    this.#reader = reader;
    if (before === "none" && reader === "listeners") queueMicrotask(() => void this.#pump()); // the listeners of this turn are all there;
  }

  async #pump(): Promise<void> {
    try {
      for (let message = await this.#next(); message !== undefined; message = await this.#next()) {
        await this.#tell(message);
        this.#dealtWith(message);
      }
    } catch (thrown) {
      const error = thrown instanceof RealtimeError ? thrown : this.#errorOf("listener_failed", thrown);
      this.#stop();
      if (this.#options.signal?.aborted !== true) this.#tellError(error);
    }
  }

  /** Undefined at the end. Positions are dealt with by being read. */
  async #next(): Promise<ChannelMessage<N> | undefined> {
    for (;;) {
      const message = await this.#subscription.queue.take();
      if (message?.kind !== "position") return message;
      this.#dealtWith(message);
    }
  }

  async #tell(message: ChannelMessage<N>): Promise<void> {
    const given = message.kind === "event" ? [message.event, message] : [message];
    for (const name of message.kind === "event" ? ["event", message.event.type] : [message.kind])
      for (const listener of this.#listeners.of(name)) await (listener as (...given: unknown[]) => unknown)(...given);
  }

  #dealtWith(message: Queued<N>): void {
    if (message.kind === "end" || message.cursor === this.#cursor) return;
    this.#cursor = message.cursor;
    this.#saver.save(message.cursor);
  }

  /** Once, until one is saved again: only more would come again behind a crash. */
  #onSaveFailure(cause: unknown): void {
    if (this.#saveFailed) return;
    this.#saveFailed = true;
    this.#tellError(this.#errorOf("cursor_not_saved", cause, true));
  }

  /** An error that nobody listens for must not vanish. */
  #tellError(error: RealtimeError): void {
    const heard = this.#listeners.tell("error", error) + this.#deps.onError(error);
    if (heard > 0 || error.temporary) return;
    queueMicrotask(() => {
      throw error;
    });
  }

  #errorOf(code: string, cause: unknown, temporary = false): RealtimeError {
    return new RealtimeError(code, textOf(cause), { cause, temporary, channel: this.name });
  }

  readonly #abort = (): void => this.#stop(this.#options.signal!.reason);

  #stop(error?: unknown): void {
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#subscription.stop(error);
  }
}

// One connection that outlives its sockets: dialled when the first channel opens, again with full jitter after each break, given up
// when the last channel closes. Every channel resumes by itself (subscription.ts).

import { fullJitterMs } from "../backoff.js";
import { Channel, type ChannelOptions } from "./channel.js";
import type { ChannelName, RealtimeStatus } from "./channel-types.js";
import { Connection, type ConnectionEnd, type WebSocketConstructor } from "./connection.js";
import { type CursorStore, memoryCursors } from "./cursor-store.js";
import { REALTIME_LIMITS } from "./limits.js";
import { Listeners } from "./listeners.js";
import { RealtimeError, textOf } from "./realtime-error.js";
import { Subscription } from "./subscription.js";
import { onWake } from "./wake-signals.js";
import type { ChannelFrame } from "./wire-messages.js";

export interface RealtimeOptions {
  /** The gateway's address: `wss://…/v1/ws`. */
  url: string;
  /** A buyer's or node's token, or an API key. Asked before each connection, and again before the time of the one in use is over. */
  getToken: () => string | Promise<string>;
  /** Node has one of its own from version 22 on; before that pass npm `ws`. */
  WebSocket?: WebSocketConstructor;
  /** Where to begin when a channel is opened again; by default in memory. */
  cursors?: CursorStore;
  /** Full jitter: the n-th wait is random between 0 and min(capMs, baseMs · 2ⁿ). */
  backoff?: { baseMs?: number; capMs?: number };
  /** As close(). */
  signal?: AbortSignal;
  random?: () => number;
  clock?: { now(): number };
}

export interface RealtimeListeners {
  status: (status: RealtimeStatus) => unknown;
  /** Of the connection and of all channels. `temporary`: it is being tried again. */
  error: (error: RealtimeError) => unknown;
}

export interface Realtime {
  readonly status: RealtimeStatus;
  /** Returns how to take the listener away. */
  on<K extends keyof RealtimeListeners>(name: K, listener: RealtimeListeners[K]): () => void;
  /** Subscribes at once. One channel of a name at a time. */
  channel<N extends ChannelName>(name: N, options?: ChannelOptions): Channel<N>;
  /** Closes every channel and the connection, for good. Resolves once the cursors are saved. */
  close(): Promise<void>;
}

export function createRealtime(options: RealtimeOptions): Realtime {
  return new RealtimeConnection(options);
}

interface Opened {
  readonly subscription: Subscription;
  readonly channel: Channel;
}

class RealtimeConnection implements Realtime {
  readonly #options: RealtimeOptions;
  readonly #WebSocket: WebSocketConstructor;
  readonly #cursors: CursorStore;
  readonly #random: () => number;
  readonly #backoff: { baseMs: number; capMs: number };
  readonly #channels = new Map<string, Opened>();
  readonly #listeners = new Listeners<RealtimeListeners>();
  #status: RealtimeStatus = { state: "idle" };
  #connection: Connection | undefined;
  #dialled = false;
  #running = false;
  #attempt = 0;
  #expirations = 0;
  #hurry: () => void = () => undefined;
  #skipWait: () => void = () => undefined;

  constructor(options: RealtimeOptions) {
    this.#options = options;
    this.#WebSocket = options.WebSocket ?? ownWebSocket();
    this.#cursors = options.cursors ?? memoryCursors();
    this.#random = options.random ?? Math.random;
    this.#backoff = {
      baseMs: options.backoff?.baseMs ?? REALTIME_LIMITS.reconnectBaseMs,
      capMs: options.backoff?.capMs ?? REALTIME_LIMITS.reconnectCapMs,
    };
    options.signal?.addEventListener("abort", this.#abort, { once: true });
    if (options.signal?.aborted === true) this.#abort();
  }

  get status(): RealtimeStatus {
    return this.#status;
  }

  on<K extends keyof RealtimeListeners>(name: K, listener: RealtimeListeners[K]): () => void {
    return this.#listeners.add(name, listener as never);
  }

  channel<N extends ChannelName>(name: N, options: ChannelOptions = {}): Channel<N> {
    if (this.#status.state === "closed")
      throw this.#status.error ?? new RealtimeError("closed", "this connection was closed");
    if (this.#channels.has(name)) throw new RealtimeError("channel_in_use", `${name} is open already`);
    const subscription = new Subscription<N>(name, {
      bufferMax: options.bufferMax ?? REALTIME_LIMITS.bufferMax,
      backoff: this.#backoff,
      random: this.#random,
      onTrouble: (error) => channel.tellTrouble(error),
      onOver: () => this.#onOver(name),
    });
    const channel: Channel<N> = new Channel(subscription, options, {
      cursors: this.#cursors,
      onError: (error) => this.#listeners.tell("error", error),
    });
    if (subscription.over) return channel; // its signal was aborted before
    this.#channels.set(name, { subscription, channel });
    if (this.#dialled) subscription.connected(this.#connection!);
    void this.#run();
    return channel;
  }

  async close(): Promise<void> {
    const channels = [...this.#channels.values()];
    this.#end({ code: undefined, reason: "closed by the application", error: undefined });
    await Promise.all(channels.map(({ channel }) => channel.close()));
  }

  /** While there is a channel: one connection after the other. */
  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    const stopListening = onWake(() => this.#onWake());
    while (this.#wanted) {
      const end = await this.#connectOnce();
      if (end === undefined || !this.#wanted) continue;
      if (end.error !== undefined) this.#end({ code: end.code, reason: end.reason, error: end.error });
      else await this.#wait(end);
    }
    stopListening();
    this.#running = false;
    if (this.#status.state !== "closed") this.#tell({ state: "idle" });
  }

  get #wanted(): boolean {
    return this.#channels.size > 0 && this.#status.state !== "closed";
  }

  async #connectOnce(): Promise<ConnectionEnd | undefined> {
    this.#tell({ state: "connecting", attempt: this.#attempt });
    const token = await this.#token();
    if (typeof token !== "string") return token;
    if (!this.#wanted) return undefined;
    const { url, clock } = this.#options;
    const connection = new Connection({
      url,
      WebSocket: this.#WebSocket,
      token,
      getToken: async () => this.#options.getToken(),
      now: () => (clock ?? Date).now(),
      onDialled: () => this.#onDialled(connection),
      onOpen: () => this.#onOpen(connection),
      onFrame: (frame) => this.#onFrame(frame),
      onRenewalFailed: (error) => void this.#listeners.tell("error", tokenError(error, true)),
    });
    this.#connection = connection;
    const end = await connection.ended;
    this.#onEnded();
    if (end.expired) this.#expirations++;
    return end;
  }

  /** The token, or why there is none. */
  async #token(): Promise<string | ConnectionEnd> {
    const none = { code: undefined, afterMs: 0, expired: false, error: undefined };
    try {
      if (this.#expirations < REALTIME_LIMITS.expirationsMax) return await this.#options.getToken();
      const error = new RealtimeError("token_expired", "the tokens that getToken gives are over before they are used");
      return { ...none, reason: error.code, error };
    } catch (thrown) {
      const error = tokenError(thrown, isTemporary(thrown));
      if (!error.temporary) return { ...none, reason: error.message, error };
      this.#listeners.tell("error", error);
      return { ...none, reason: error.message };
    }
  }

  #onDialled(connection: Connection): void {
    this.#dialled = true;
    for (const { subscription } of this.#channels.values()) subscription.connected(connection);
  }

  #onOpen(connection: Connection): void {
    this.#expirations = 0;
    const stable = setTimeout(() => (this.#attempt = 0), REALTIME_LIMITS.stableMs);
    void connection.ended.then(() => clearTimeout(stable));
    this.#tell({ state: "open" });
  }

  #onFrame(frame: ChannelFrame): void {
    this.#channels.get(frame.channel)?.subscription.onFrame(frame);
  }

  #onEnded(): void {
    this.#connection = undefined;
    this.#dialled = false;
    for (const { subscription } of this.#channels.values()) subscription.disconnected();
  }

  /** As long as the gateway wished, and a random time on top of it. */
  #wait({ afterMs, code, reason }: ConnectionEnd): Promise<void> {
    const jitterMs = fullJitterMs(this.#attempt, this.#backoff, this.#random);
    this.#attempt++;
    this.#tell({ state: "reconnecting", attempt: this.#attempt, inMs: afterMs + jitterMs, code, reason });
    const earliestAt = performance.now() + afterMs;
    return new Promise((resolve) => {
      let dueAt = earliestAt + jitterMs;
      let timer = setTimeout(resolve, dueAt - performance.now());
      this.#skipWait = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#hurry = () => {
        const now = performance.now();
        const soonerAt = Math.max(now, earliestAt) + fullJitterMs(0, this.#backoff, this.#random);
        if (soonerAt >= dueAt) return;
        dueAt = soonerAt;
        clearTimeout(timer);
        timer = setTimeout(resolve, dueAt - now);
      };
    });
  }

  /** The network came or went, or the page is shown again: an old socket proves itself, a wait is cut short. */
  #onWake(): void {
    if (this.#connection !== undefined) return this.#connection.probe();
    this.#attempt = 0;
    this.#hurry();
  }

  #onOver(name: string): void {
    this.#channels.delete(name);
    // Not at once: a page that closes one channel and opens the next keeps its connection.
    setTimeout(() => {
      if (this.#channels.size > 0) return;
      this.#connection?.close("no channel is open");
      this.#skipWait();
    });
  }

  readonly #abort = (): void =>
    this.#end({ code: undefined, reason: textOf(this.#options.signal!.reason), error: undefined });

  /** For good. */
  #end(why: { code: number | undefined; reason: string; error: RealtimeError | undefined }): void {
    if (this.#status.state === "closed") return;
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#tell({ state: "closed", ...why });
    for (const { subscription } of this.#channels.values()) {
      if (why.error === undefined) subscription.stop(this.#options.signal?.reason);
      else subscription.fail(why.error);
    }
    this.#connection?.close(why.reason);
    this.#skipWait();
  }

  #tell(status: RealtimeStatus): void {
    this.#status = status;
    this.#listeners.tell("status", status);
  }
}

const tokenError = (cause: unknown, temporary: boolean): RealtimeError => {
  const { code } = cause as { code?: unknown };
  return new RealtimeError(temporary || typeof code !== "string" ? "token_unavailable" : code, textOf(cause), {
    cause,
    temporary,
  });
};

/** A backend that cannot give a token now may give one later; an error that says otherwise is final. */
const isTemporary = (error: unknown): boolean => (error as { temporary?: unknown } | null)?.temporary !== false;

function ownWebSocket(): WebSocketConstructor {
  const { WebSocket } = globalThis as { WebSocket?: WebSocketConstructor };
  if (WebSocket === undefined)
    throw new RealtimeError("config_invalid", "there is no WebSocket here; pass one, for example npm `ws`");
  return WebSocket;
}

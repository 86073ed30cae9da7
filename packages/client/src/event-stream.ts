// events(): channels as an async iterator that outlives its connections. It resumes from the last message taken over, and a gap is
// a message of its own, never silence. A slow consumer closes the socket and resumes later; nothing is dropped.

import { type Clock, type Event, isTemporary, OutcryError } from "@outcry/protocol";
import { fullJitterMs, pause } from "./backoff.js";
import { type ChannelPlace, runSession, type WebSocketConstructor } from "./gateway-session.js";
import type { GatewayMessage } from "./gateway-messages.js";
import { CLIENT_LIMITS } from "./limits.js";
import { MessageQueue } from "./message-queue.js";

export type ChannelMessage =
  /** `event` is null when the gateway could not show it (type UNREADABLE). */
  | { kind: "event"; channel: string; cursor: string; type: string; event: Event | null }
  /** What lies before the cursor may be missing: read the state again over HTTP. */
  | { kind: "gap"; channel: string; cursor: string; reason: string }
  /** The right to the channel was taken back; nothing more comes on it. */
  | { kind: "ended"; channel: string; code: string };

export type ConnectionState =
  | { kind: "connecting"; attempt: number }
  | { kind: "open" }
  | { kind: "waiting"; ms: number; why: string }
  /** Another token could not be had; the connection is still open, and it is tried again. */
  | { kind: "renewal_failed"; why: string }
  | { kind: "ended" };

export interface EventsOptions {
  /** Where to resume: the cursor of the one channel, or cursors by channel. */
  cursor?: string | Readonly<Record<string, string>>;
  /** Without a cursor: from the oldest event kept instead of from now on. */
  from?: "start";
  signal?: AbortSignal;
  onState?: (state: ConnectionState) => void;
}

export interface EventStreamDeps {
  readonly url: string;
  readonly WebSocket: WebSocketConstructor;
  readonly credential: () => Promise<string>;
  readonly renewable: boolean;
  readonly clock: Clock;
  readonly random: () => number;
}

type FromGateway = Extract<GatewayMessage, { channel: string }>;

export class EventStream implements AsyncIterableIterator<ChannelMessage> {
  readonly #deps: EventStreamDeps;
  readonly #options: EventsOptions;
  readonly #queue = new MessageQueue<FromGateway>(CLIENT_LIMITS.queuedMessagesMax);
  readonly #places = new Map<string, ChannelPlace>();
  readonly #taken: Record<string, string> = {};
  readonly #stop = new AbortController();
  #session = new AbortController();
  #attempt = 0;

  constructor(deps: EventStreamDeps, channels: readonly string[], options: EventsOptions) {
    this.#deps = deps;
    this.#options = options;
    for (const channel of channels) {
      const cursor = typeof options.cursor === "string" ? options.cursor : options.cursor?.[channel];
      this.#places.set(channel, { cursor, fromStart: options.from === "start" });
      if (cursor !== undefined) this.#taken[channel] = cursor;
    }
    const abort = () => {
      this.#queue.clear();
      this.#finish(options.signal!.reason);
    };
    options.signal?.addEventListener("abort", abort, { once: true });
    if (options.signal?.aborted) abort();
    void this.#run();
  }

  /** By channel, the cursor behind everything that was taken from this iterator: what to resume with later. */
  get cursors(): Readonly<Record<string, string>> {
    return { ...this.#taken };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<ChannelMessage, undefined>> {
    for (;;) {
      const message = await this.#queue.take();
      if (message === undefined) return { done: true, value: undefined };
      if (message.kind !== "end") this.#taken[message.channel] = message.cursor;
      if (message.kind !== "position") return { done: false, value: shown(message) };
    }
  }

  return(): Promise<IteratorResult<ChannelMessage, undefined>> {
    this.#finish();
    return Promise.resolve({ done: true, value: undefined });
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    try {
      while (!signal.aborted) {
        await this.#queue.room();
        const pauseMs = await this.#connect();
        await pause(pauseMs, signal);
      }
    } catch (error) {
      if (!signal.aborted) this.#finish(error);
    }
    this.#tell({ kind: "ended" });
  }

  /** One connection; how long to wait before the next one. Throws what coming back cannot mend. */
  async #connect(): Promise<number> {
    const { url, WebSocket, credential, renewable, clock, random } = this.#deps;
    this.#tell({ kind: "connecting", attempt: this.#attempt });
    const backoff = { baseMs: CLIENT_LIMITS.reconnectBaseMs, capMs: CLIENT_LIMITS.reconnectCapMs };
    const waitMs = (atLeastMs: number, why: string): number => {
      const ms = atLeastMs + fullJitterMs(this.#attempt++, backoff, random);
      this.#tell({ kind: "waiting", ms, why });
      return ms;
    };
    const token = await tokenOrFault(credential);
    if (token.kind === "later") return waitMs(0, token.why);
    this.#session = new AbortController();
    const end = await runSession({
      url,
      WebSocket,
      token: token.token,
      renewToken: renewable ? credential : undefined,
      places: this.#places,
      onMessage: (message) => this.#onMessage(message),
      onSubscribed: () => {
        this.#attempt = 0;
        this.#tell({ kind: "open" });
      },
      onRenewalFailed: (error) =>
        this.#tell({ kind: "renewal_failed", why: error instanceof Error ? error.message : String(error) }),
      clock,
      signal: AbortSignal.any([this.#stop.signal, this.#session.signal]),
    });
    if (end.kind === "refused") throw end.error;
    if (this.#session.signal.aborted) return 0; // full: it waits for room, not for the gateway
    return waitMs(end.afterMs, end.why);
  }

  /** The place moves with the queue, not with the consumer: what is queued is not asked for again. */
  #onMessage(message: FromGateway): void {
    if (this.#queue.full) return this.#session.abort();
    this.#queue.push(message);
    if (message.kind !== "end") this.#places.set(message.channel, { cursor: message.cursor, fromStart: false });
    else if (this.#places.delete(message.channel) && this.#places.size === 0) this.#finish();
  }

  #finish(error?: unknown): void {
    this.#queue.end(error);
    this.#stop.abort();
  }

  #tell(state: ConnectionState): void {
    this.#options.onState?.(state);
  }
}

function shown(message: Exclude<FromGateway, { kind: "position" }>): ChannelMessage {
  if (message.kind === "event") return message;
  if (message.kind === "end") return { kind: "ended", channel: message.channel, code: message.code };
  return { kind: "gap", channel: message.channel, cursor: message.cursor, reason: message.reason };
}

/** A backend that cannot give a token now may give one later; a refusal is final. */
async function tokenOrFault(
  credential: () => Promise<string>,
): Promise<{ kind: "token"; token: string } | { kind: "later"; why: string }> {
  try {
    return { kind: "token", token: await credential() };
  } catch (error) {
    if (error instanceof OutcryError && !isTemporary(error)) throw error;
    return { kind: "later", why: String(error) };
  }
}

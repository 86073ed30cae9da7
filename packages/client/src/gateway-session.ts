// One WebSocket connection to the gateway, from the dial to the close: authenticate, subscribe with the cursors held, hand on what comes.
// Whether to come back is said in how it ended; coming back is event-stream.ts.

import { type Clock, ERRORS, type ErrorCode, OutcryError, parseRfc3339 } from "@outcry/protocol";
import { type GatewayMessage, readFrame } from "./gateway-messages.js";
import { CLIENT_LIMITS } from "./limits.js";

/** The part of a WebSocket that is used: the browser's, Node's, or npm `ws`. */
export interface WebSocketLike {
  send(data: string): void;
  close(code?: number, reason?: string): void;
  // Each implementation has event types of its own; the handlers below say what they read of them.
  // oxlint-disable-next-line typescript/no-explicit-any
  addEventListener(type: "open" | "message" | "error" | "close", listener: (event: any) => void): void;
}
export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => WebSocketLike;

/** Where a channel stands: behind a cursor, at its start, or at its head. */
export interface ChannelPlace {
  cursor: string | undefined;
  fromStart: boolean;
}

export interface SessionDeps {
  readonly url: string;
  readonly WebSocket: WebSocketConstructor;
  readonly token: string;
  /** Another token for the same principal, before this one's time is over; undefined when there is none. */
  readonly renewToken: (() => Promise<string>) | undefined;
  readonly places: ReadonlyMap<string, ChannelPlace>;
  readonly onMessage: (message: Extract<GatewayMessage, { channel: string }>) => void;
  readonly onSubscribed: () => void;
  /** The connection goes on with the token that it has, and asks again before that one's time is over. */
  readonly onRenewalFailed: (error: unknown) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export type SessionEnd = { kind: "come_back"; afterMs: number; why: string } | { kind: "refused"; error: OutcryError };

const SUBPROTOCOL = "outcry.v1";
const AUTH_ID = 0;
const CLOSED_FOR_GOOD: Readonly<Record<number, ErrorCode>> = {
  1002: "frame_invalid",
  1007: "frame_invalid",
  1008: "frame_invalid",
  1009: "json_too_large",
  4500: "credentials_invalid",
  4501: "frame_invalid",
  4502: "credentials_missing",
  4503: "credentials_invalid",
};

export function runSession(deps: SessionDeps): Promise<SessionEnd> {
  return new Promise((resolve) => new Session(deps, resolve).open());
}

class Session {
  readonly #deps: SessionDeps;
  readonly #resolve: (end: SessionEnd) => void;
  readonly #subscribing = new Map<number, string>();
  #socket!: WebSocketLike;
  #silenceMs: number = CLIENT_LIMITS.connectTimeoutMs;
  #watchdog: ReturnType<typeof setTimeout> | undefined;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  #afterMs = 0;
  #done = false;

  constructor(deps: SessionDeps, resolve: (end: SessionEnd) => void) {
    this.#deps = deps;
    this.#resolve = resolve;
  }

  open(): void {
    const { WebSocket, url, signal } = this.#deps;
    if (signal.aborted) return this.#end({ kind: "come_back", afterMs: 0, why: "stopped" });
    signal.addEventListener("abort", this.#abort, { once: true });
    this.#sawLife();
    try {
      this.#socket = new WebSocket(url, SUBPROTOCOL);
    } catch (cause) {
      return this.#end({
        kind: "refused",
        error: new OutcryError("request_invalid", `no WebSocket to ${url}`, { cause }),
      });
    }
    this.#socket.addEventListener("open", () => this.#send({ id: AUTH_ID, op: "auth", token: this.#deps.token }));
    this.#socket.addEventListener("message", ({ data }: { data: unknown }) => this.#onFrame(String(data)));
    this.#socket.addEventListener("error", () => undefined); // a close follows, with what there is to know
    this.#socket.addEventListener("close", ({ code, reason }: { code: number; reason: string }) =>
      this.#onClose(code, reason),
    );
  }

  #onFrame(frame: string): void {
    if (this.#done) return; // still under way when this side closed
    this.#sawLife();
    for (const message of readFrame(frame)) {
      if (this.#done) return;
      this.#onMessage(message);
    }
  }

  #onMessage(message: GatewayMessage): void {
    switch (message.kind) {
      case "ping":
        return this.#send({ op: "pong" });
      case "ok":
        return message.id === AUTH_ID ? this.#onAuthenticated(message.ok) : this.#onSubscribed(message.id, message.ok);
      case "refused":
        return this.#onRefused(message);
      case "bye":
        this.#afterMs = message.afterMs;
        return;
      case "unknown":
        return;
      case "event":
      case "position":
      case "reset":
      case "end":
        return this.#deps.onMessage(message);
    }
  }

  /** Also the answer to a renewal in place: then the subscriptions stand already. */
  #onAuthenticated(ok: Record<string, unknown>): void {
    const renewed = this.#renewal !== undefined;
    this.#planRenewal(ok["expires"]);
    if (typeof ok["ping_ms"] === "number") this.#silenceMs = ok["ping_ms"] + CLIENT_LIMITS.silenceSlackMs;
    if (renewed) return;
    let id = AUTH_ID;
    for (const [channel, { cursor, fromStart }] of this.#deps.places) {
      this.#subscribing.set(++id, channel);
      const place = cursor === undefined ? (fromStart ? { from: "start" } : {}) : { cur: cursor };
      this.#send({ id, op: "sub", ch: channel, ...place });
    }
  }

  #onSubscribed(id: number, { c, recovered, reason }: Record<string, unknown>): void {
    const channel = this.#subscribing.get(id);
    if (channel === undefined || typeof c !== "string") return;
    this.#subscribing.delete(id);
    if (recovered === false)
      this.#deps.onMessage({
        kind: "reset",
        channel,
        cursor: c,
        reason: typeof reason === "string" ? reason : "unknown",
      });
    else this.#deps.onMessage({ kind: "position", channel, cursor: c });
    if (this.#subscribing.size === 0) this.#deps.onSubscribed();
  }

  #onRefused({ code, retry, detail }: Extract<GatewayMessage, { kind: "refused" }>): void {
    if (retry === "after" || (code === "token_expired" && this.#deps.renewToken !== undefined))
      return this.#close({ kind: "come_back", afterMs: 0, why: code });
    this.#close({ kind: "refused", error: errorOf(code, detail) });
  }

  #onClose(code: number, reason: string): void {
    const fault = CLOSED_FOR_GOOD[code] ?? (code >= 4500 && code <= 4999 ? "credentials_invalid" : undefined);
    const why = `close ${code}${reason === "" ? "" : ` ${reason}`}`;
    if (fault !== undefined)
      return this.#end({ kind: "refused", error: new OutcryError(fault, `the gateway ended the connection: ${why}`) });
    const tokenOver = code === 4014 && this.#deps.renewToken === undefined;
    this.#end(
      tokenOver
        ? { kind: "refused", error: new OutcryError("token_expired") }
        : { kind: "come_back", afterMs: this.#afterMs, why },
    );
  }

  #planRenewal(expires: unknown): void {
    const { renewToken, clock } = this.#deps;
    const endsMs = typeof expires === "string" ? parseRfc3339(expires) : undefined;
    if (renewToken === undefined || endsMs === undefined) return;
    clearTimeout(this.#renewal);
    const inMs = Math.max(1_000, (endsMs - clock.now()) * CLIENT_LIMITS.renewTokenAtShare);
    this.#renewal = setTimeout(() => void this.#renew(renewToken, expires), Math.min(inMs, CLIENT_LIMITS.timerMaxMs));
  }

  async #renew(renewToken: () => Promise<string>, expires: unknown): Promise<void> {
    const token = await renewToken().catch((error: unknown) => {
      this.#deps.onRenewalFailed(error);
      return undefined;
    });
    if (this.#done) return;
    if (token === undefined) this.#planRenewal(expires); // there is still a part of its life left
    else this.#send({ id: AUTH_ID, op: "auth", token });
  }

  #sawLife(): void {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#close({ kind: "come_back", afterMs: 0, why: "silence" }), this.#silenceMs);
  }

  #send(message: unknown): void {
    this.#socket.send(JSON.stringify(message));
  }

  readonly #abort = (): void => this.#close({ kind: "come_back", afterMs: 0, why: "stopped" });

  #close(end: SessionEnd): void {
    if (this.#done) return;
    this.#end(end);
    this.#socket.close(1000);
  }

  #end(end: SessionEnd): void {
    if (this.#done) return;
    this.#done = true;
    clearTimeout(this.#watchdog);
    clearTimeout(this.#renewal);
    this.#deps.signal.removeEventListener("abort", this.#abort);
    this.#resolve(end);
  }
}

function errorOf(code: string, detail: string): OutcryError {
  const known = Object.hasOwn(ERRORS, code);
  return new OutcryError(known ? (code as ErrorCode) : "internal", known ? detail || undefined : `${code}: ${detail}`);
}

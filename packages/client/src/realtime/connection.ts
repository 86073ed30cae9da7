// One WebSocket connection to the gateway, from the dial to the close: identity and its renewal, commands with their replies, silence.
// Whether to come back is said in how it ended; coming back is realtime.ts. What a channel says is subscription.ts's.

import type { ErrorCode } from "@outcry/protocol";
import { REALTIME_LIMITS } from "./limits.js";
import { RealtimeError, textOf } from "./realtime-error.js";
import { type ChannelFrame, readFrame, type Refusal, type WireMessage } from "./wire-messages.js";

/** The part of a WebSocket that is used: the browser's, Node's, or npm `ws`. */
export interface WebSocketLike {
  send(data: string): void;
  close(code?: number, reason?: string): void;
  // Each implementation has event types of its own; the handlers below say what they read of them.
  // oxlint-disable-next-line typescript/no-explicit-any
  addEventListener(type: "open" | "message" | "error" | "close", listener: (event: any) => void): void;
}
export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => WebSocketLike;

export interface ConnectionDeps {
  readonly url: string;
  readonly WebSocket: WebSocketConstructor;
  readonly token: string;
  readonly getToken: () => Promise<string>;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** Commands are taken; the gateway carries them out once it knows who this is. */
  readonly onDialled: () => void;
  /** The gateway knows who this is. */
  readonly onOpen: () => void;
  readonly onFrame: (frame: ChannelFrame) => void;
  /** The connection goes on with the token that it has, and asks again before that one's time is over. */
  readonly onRenewalFailed: (error: unknown) => void;
}

export interface ConnectionEnd {
  /** The WebSocket close code; undefined when this side gave up. */
  readonly code: number | undefined;
  readonly reason: string;
  /** When the gateway wants to be called again. */
  readonly afterMs: number;
  /** The token's time is over: the next one must be another. */
  readonly expired: boolean;
  /** What coming back cannot mend. */
  readonly error: RealtimeError | undefined;
}

export type Reply = { kind: "ok"; ok: Record<string, unknown> } | Refusal;

const SUBPROTOCOL = "outcry.v1";
const TOKEN_EXPIRED = 4014;
const CREDENTIALS = 4500;
const CLOSED_FOR_GOOD: Readonly<Record<number, ErrorCode>> = {
  1002: "frame_invalid",
  1007: "frame_invalid",
  1008: "frame_invalid",
  1009: "json_too_large",
  4500: "credentials_invalid",
  4501: "frame_invalid",
  4503: "credentials_invalid",
};

export class Connection {
  /** Resolves once, however it ended. */
  readonly ended: Promise<ConnectionEnd>;
  readonly #deps: ConnectionDeps;
  readonly #replies = new Map<number, (reply: Reply) => void>();
  #resolve!: (end: ConnectionEnd) => void;
  #socket: (WebSocketLike & { terminate?: () => void }) | undefined;
  #lastId = 0;
  #open = false;
  #done = false;
  #silenceMs: number = REALTIME_LIMITS.connectTimeoutMs;
  #watchdog: ReturnType<typeof setTimeout> | undefined;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  #afterMs = 0;
  #fault = "";
  #unsent = "";

  constructor(deps: ConnectionDeps) {
    this.#deps = deps;
    this.ended = new Promise((resolve) => (this.#resolve = resolve));
    this.#deadIn(this.#silenceMs);
    try {
      this.#dial(new deps.WebSocket(deps.url, SUBPROTOCOL));
    } catch (cause) {
      const error = new RealtimeError("request_invalid", `no WebSocket to ${deps.url}: ${textOf(cause)}`, { cause });
      this.#end({ reason: error.detail, error });
    }
  }

  /** Its reply never comes when the connection ends first. */
  command(command: Readonly<Record<string, unknown>>, onReply: (reply: Reply) => void): void {
    const id = this.#lastId++;
    this.#replies.set(id, onReply);
    this.#send({ id, ...command });
  }

  /** Asks for a sign of life, and ends when none comes soon. */
  probe(): void {
    if (!this.#open || this.#done) return;
    this.command({ op: "ping" }, () => undefined);
    this.#deadIn(REALTIME_LIMITS.probeMs);
  }

  close(reason: string): void {
    this.#end({ reason });
    this.#socket?.close(1000);
  }

  #dial(socket: WebSocketLike): void {
    this.#socket = socket;
    socket.addEventListener("open", () => {
      this.#auth(this.#deps.token);
      this.#deps.onDialled(); // one round trip less than behind the reply
    });
    socket.addEventListener("message", ({ data }: { data: unknown }) => this.#onFrame(String(data)));
    // A close follows; only npm `ws` says what it was.
    socket.addEventListener("error", ({ message }: { message?: unknown }) => {
      if (typeof message === "string") this.#fault = message;
    });
    socket.addEventListener("close", ({ code, reason }: { code: number; reason: string }) =>
      this.#onClose(code, reason),
    );
  }

  #onFrame(frame: string): void {
    if (this.#done) return; // still under way when this side closed
    this.#deadIn(this.#silenceMs);
    for (const message of readFrame(frame)) {
      this.#onMessage(message);
      if (this.#done) return;
    }
  }

  #onMessage(message: WireMessage): void {
    switch (message.kind) {
      case "ping":
        return this.#send({ op: "pong" });
      case "ok":
      case "refused":
        this.#replies.get(message.id)?.(message);
        this.#replies.delete(message.id);
        return;
      case "bye":
        this.#afterMs = message.afterMs;
        return;
      case "unknown":
        return;
      case "event":
      case "position":
      case "reset":
      case "end":
        return this.#deps.onFrame(message);
    }
  }

  #auth(token: string): void {
    this.command({ op: "auth", token }, (reply) =>
      reply.kind === "ok" ? this.#onAuthenticated(reply.ok) : this.#onRefused(reply),
    );
  }

  /** Also the answer to a renewal in place: then the subscriptions stand already. */
  #onAuthenticated({ expires, ping_ms: pingMs }: Record<string, unknown>): void {
    if (typeof pingMs === "number") this.#silenceMs = pingMs + REALTIME_LIMITS.silenceSlackMs;
    this.#deadIn(this.#silenceMs);
    this.#planRenewal(expires);
    if (this.#open) return;
    this.#open = true;
    this.#deps.onOpen();
  }

  /** The close that follows says no more than this does. */
  #onRefused({ code, temporary, detail }: Refusal): void {
    if (code === "token_expired") this.#end({ code: TOKEN_EXPIRED, reason: code, expired: true });
    else if (temporary) this.#end({ reason: code });
    else {
      const error = new RealtimeError(code, detail, { closeCode: CREDENTIALS });
      this.#end({ code: CREDENTIALS, reason: code, error });
    }
    this.#socket?.close(1000);
  }

  #onClose(code: number, said: string): void {
    const reason = said || this.#fault || `close ${code}`;
    const final = CLOSED_FOR_GOOD[code] ?? (code >= 4500 && code <= 4999 ? reason : undefined);
    const error =
      final === undefined
        ? undefined
        : new RealtimeError(final, `the gateway closed with ${code} ${said}`, { closeCode: code });
    this.#end({ code, reason, error, expired: code === TOKEN_EXPIRED });
  }

  #planRenewal(expires: unknown): void {
    clearTimeout(this.#renewal);
    const leftMs = typeof expires === "string" ? Date.parse(expires) - this.#deps.now() : Number.NaN;
    if (Number.isNaN(leftMs)) return;
    const { renewAtLeastMs, renewBlindMs, renewTokenAtShare, timerMaxMs } = REALTIME_LIMITS;
    const inMs = leftMs <= 0 ? renewBlindMs : Math.max(renewAtLeastMs, leftMs * renewTokenAtShare);
    this.#renewal = setTimeout(() => void this.#renew(expires), Math.min(inMs, timerMaxMs));
  }

  async #renew(expires: unknown): Promise<void> {
    try {
      const token = await this.#deps.getToken();
      if (!this.#done) this.#auth(token);
    } catch (error) {
      if (this.#done) return;
      this.#deps.onRenewalFailed(error);
      this.#planRenewal(expires); // there is still a part of its life left
    }
  }

  #deadIn(ms: number): void {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#onSilence(), ms);
  }

  /** A half-open connection answers no close either: where it can be cut, it is. */
  #onSilence(): void {
    this.#end({ reason: this.#open ? "silence" : "no answer" });
    if (this.#socket?.terminate === undefined) this.#socket?.close(1000);
    else this.#socket.terminate();
  }

  /** What is said in one turn goes out in one frame. */
  #send(message: unknown): void {
    const text = JSON.stringify(message);
    if (this.#unsent.length + text.length >= REALTIME_LIMITS.frameCharsMax) this.#flush();
    if (this.#unsent === "") queueMicrotask(() => this.#flush());
    this.#unsent += `${this.#unsent && "\n"}${text}`;
  }

  #flush(): void {
    if (!this.#done && this.#unsent !== "") this.#socket?.send(this.#unsent);
    this.#unsent = "";
  }

  #end(how: Partial<ConnectionEnd> & Pick<ConnectionEnd, "reason">): void {
    if (this.#done) return;
    this.#done = true;
    clearTimeout(this.#watchdog);
    clearTimeout(this.#renewal);
    this.#replies.clear();
    this.#resolve({ code: undefined, expired: false, error: undefined, afterMs: this.#afterMs, ...how });
  }
}

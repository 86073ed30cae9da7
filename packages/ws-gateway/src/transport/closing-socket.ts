// A WebSocket that says when its close frame is about to be written, whoever closes: we, the peer, or `ws` itself at a broken frame. It is the
// last moment to write data (RFC 6455 §5.5.1); the outbox writes past `ws`, which cannot stop it.

import { type RawData, type ServerOptions, WebSocket } from "ws";
import type { GatewayLimits } from "../limits.js";

/** Hears what happens on a socket. One object instead of a closure for each event: there are twenty thousand sockets. */
export interface SocketListener {
  onMessage(data: RawData, isBinary: boolean): void;
  /** A ping or a pong of RFC 6455. */
  onControl(): void;
  /** Once, before the close frame. */
  onClosing(): void;
  onClose(): void;
}

export class ClosingSocket extends WebSocket {
  #listener: SocketListener | undefined;
  #closing = false;

  /** From now on. */
  tell(listener: SocketListener): void {
    this.#listener = listener;
    this.on("message", onMessage);
    this.on("ping", onControl);
    this.on("pong", onControl);
    this.on("error", onError);
    this.on("close", onClose);
  }

  get listener(): SocketListener | undefined {
    return this.#listener;
  }

  override close(code?: number, data?: string | Buffer): void {
    if (!this.#closing) this.#listener?.onClosing();
    this.#closing = true;
    super.close(code, data);
  }
}

function onMessage(this: WebSocket, data: RawData, isBinary: boolean): void {
  (this as ClosingSocket).listener!.onMessage(data, isBinary);
}

function onControl(this: WebSocket): void {
  (this as ClosingSocket).listener!.onControl();
}

function onClose(this: WebSocket): void {
  (this as ClosingSocket).listener!.onClose();
}

/** `ws` closes with the right code by itself (RFC 6455 §7.4.1). */
function onError(): void {}

/** What a peer may make `ws` hold, and how long it may take to close. Some options are younger than the types of `ws`. */
export function receiverOptions(limits: GatewayLimits): Pick<ServerOptions, "maxPayload"> {
  const younger = {
    maxFragments: limits.fragmentsMax,
    maxBufferedChunks: limits.chunksMax,
    maxPendingAutoPongs: limits.pongsWaitingMax,
    closeTimeout: limits.closeMs, // also where `ws` closes by itself, at a broken frame
  };
  return { maxPayload: limits.frameInBytesMax, ...younger };
}

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

  /** From now on; before it nothing happens. */
  tell(listener: SocketListener): void {
    this.#listener = listener;
  }

  /** `ws` tells what happens by its own events. Listeners of each would be a table for each socket. */
  override emit(event: string, ...args: unknown[]): boolean {
    switch (event) {
      case "message":
        this.#listener?.onMessage(args[0] as RawData, args[1] as boolean);
        return true;
      case "ping":
      case "pong":
        this.#listener?.onControl();
        return true;
      case "close":
        this.#listener?.onClose();
        return true;
      case "error": // `ws` closes with the right code by itself (RFC 6455 §7.4.1)
        return true;
      default:
        return super.emit(event, ...args);
    }
  }

  override close(code?: number, data?: string | Buffer): void {
    if (!this.#closing) this.#listener?.onClosing();
    this.#closing = true;
    super.close(code, data);
  }
}

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

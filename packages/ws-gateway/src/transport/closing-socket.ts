// A WebSocket that says when its close frame is about to be written, whoever closes: we, the peer, or `ws` itself at a broken frame. It is the
// last moment to write data (RFC 6455 §5.5.1); the outbox writes past `ws`, which cannot stop it.

import { type ServerOptions, WebSocket } from "ws";
import type { GatewayLimits } from "../limits.js";

export class ClosingSocket extends WebSocket {
  /** Runs once, before the close frame. */
  onClosing: (() => void) | undefined;

  override close(code?: number, data?: string | Buffer): void {
    const { onClosing } = this;
    this.onClosing = undefined;
    onClosing?.();
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

// Phoenix over WebSocket: `…/websocket?vsn=2.0.0`. The token comes as a subprotocol (the client's `authToken`) or, as many applications
// do it, as a parameter: this client can send no header.

import { CLOSE, type CloseReason } from "../transport/close-codes.js";
import { textFrame } from "../transport/frame.js";
import type { SocketKind } from "../transport/accept-sockets.js";
import type { SocketPeer, WireProtocol } from "../transport/socket-peer.js";
import { binaryReply, phoenixSocketFormat } from "./phoenix-format.js";
import { readBinary, readText } from "./phoenix-messages.js";
import { PhoenixProtocol } from "./phoenix-protocol.js";

const SUBPROTOCOL = "phoenix";
const TOKEN_PREFIX = "base64url.bearer.phx.";
const VERSION = "2.0.0";

export const phoenixSocket: SocketKind = {
  faultOf: ({ url }) => versionFault(queryOf(url)),
  select: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  tokenOf({ url, headers }) {
    const offered = headers["sec-websocket-protocol"]?.split(",").map((name) => name.trim()) ?? [];
    const bearer = offered.find((name) => name.startsWith(TOKEN_PREFIX))?.slice(TOKEN_PREFIX.length);
    if (bearer !== undefined) return Buffer.from(bearer, "base64url").toString();
    const query = queryOf(url);
    return query.get("token") ?? query.get("access_token") ?? undefined;
  },
  speak: (peer) => new PhoenixSocket(peer),
};

export const queryOf = (url: string | undefined): URLSearchParams =>
  new URL(url ?? "/", "http://gateway.invalid").searchParams;

export function versionFault(query: URLSearchParams): string | undefined {
  const vsn = query.get("vsn");
  return vsn === VERSION ? undefined : `vsn is ${vsn ?? "missing, which means 1.0.0"}; ${VERSION} is spoken here`;
}

class PhoenixSocket implements WireProtocol {
  readonly format = phoenixSocketFormat;
  readonly #peer: SocketPeer;
  readonly #protocol: PhoenixProtocol;

  constructor(peer: SocketPeer) {
    this.#peer = peer;
    this.#protocol = new PhoenixProtocol({
      get session() {
        return peer.session;
      },
      say: (text) => peer.reply(textFrame(text)),
      sayBinary: (to, status, data) => peer.reply(binaryReply(to, status, data)),
      identify: (token) => peer.identify(token),
    });
  }

  receive(data: Buffer, isBinary: boolean): void {
    if (!this.#peer.mayCommand()) return;
    const message = isBinary ? readBinary(data) : readText(data);
    if (typeof message === "string") this.#peer.end(CLOSE.badFrame);
    else this.#protocol.receive(message);
  }

  bye(why: CloseReason): Buffer | undefined {
    const texts = this.#protocol.bye(why);
    return texts.length === 0 ? undefined : Buffer.concat(texts.map(textFrame));
  }
}

// From an HTTP upgrade to a peer: who may connect at all, the wire protocol's own conditions, and its token where that stands in
// the request.

import { ERRORS, newId } from "@outcry/protocol";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type Server, WebSocketServer } from "ws";
import type { Principal } from "../channels/policy.js";
import { ClosingSocket, receiverOptions } from "./closing-socket.js";
import { identify } from "./identify.js";
import { SocketPeer, type SocketPeerDeps, type WireProtocol } from "./socket-peer.js";
import { handshakeFault, refuseUpgrade, type UpgradeRefusal } from "./upgrade.js";

/** What is particular to the sockets of one wire protocol. */
export interface SocketKind {
  /** What is wrong with the request, undefined when nothing is. */
  faultOf(request: IncomingMessage): string | undefined;
  /** The subprotocol to answer with; false = none. */
  select(offered: ReadonlySet<string>): string | false;
  /** Where the request itself must carry the token; absent where the first message does. */
  readonly tokenOf?: (request: IncomingMessage) => string | undefined;
  speak(peer: SocketPeer): WireProtocol;
}

export interface AcceptDeps {
  readonly peers: SocketPeerDeps;
  /** Why nobody may connect now, or not from there. */
  readonly unopenable: (request: IncomingMessage) => UpgradeRefusal | undefined;
  readonly onOpen: (peer: SocketPeer) => void;
  readonly counters: { accepted: number; refused: number };
}

export class SocketAcceptor {
  readonly #deps: AcceptDeps;
  readonly #kind: SocketKind;
  readonly #server: Server<typeof ClosingSocket>;
  /** Whose token is being checked: they count as those that have not said who they are. */
  #checking = 0;

  constructor(deps: AcceptDeps, kind: SocketKind) {
    this.#deps = deps;
    this.#kind = kind;
    this.#server = new WebSocketServer({
      noServer: true,
      WebSocket: ClosingSocket,
      clientTracking: false,
      perMessageDeflate: false, // ten times the CPU, thirty times the memory; and the outbox writes past ws
      ...receiverOptions(deps.peers.limits),
      handleProtocols: (offered) => kind.select(offered),
    });
    this.#server.on("wsClientError", ({ message }, socket) =>
      this.#refuse(socket, { status: 400, code: "request_invalid", detail: message }),
    );
  }

  /** Resolves when it is a peer, or refused. Never rejects. */
  async accept(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const refusal = handshakeFault(request) ?? this.#faultOf(request) ?? this.#deps.unopenable(request);
    if (refusal !== undefined) return this.#refuse(socket, refusal);
    if (this.#kind.tokenOf === undefined) return this.#open(request, socket, head);
    const identified = await this.#identify(socket, this.#kind.tokenOf(request));
    if (identified.kind === "refused") return this.#refuse(socket, identified);
    if (!socket.destroyed) this.#open(request, socket, head, identified.principal);
  }

  #faultOf(request: IncomingMessage): UpgradeRefusal | undefined {
    const detail = this.#kind.faultOf(request);
    return detail === undefined ? undefined : { status: 400, code: "request_invalid", detail };
  }

  async #identify(
    socket: Duplex,
    token: string | undefined,
  ): Promise<{ kind: "ok"; principal: Principal } | ({ kind: "refused" } & UpgradeRefusal)> {
    const { limits, anonymous } = this.#deps.peers;
    const refused = (refusal: UpgradeRefusal) => ({ kind: "refused", ...refusal }) as const;
    if (this.#checking + anonymous.size >= limits.unauthenticatedMax)
      return refused({ status: 503, code: "dependency_unavailable", detail: "too many connections" });
    const ignore = (): void => undefined; // it may break off while its token is looked at
    socket.on("error", ignore);
    this.#checking++;
    const answer = await identify(this.#deps.peers, token);
    this.#checking--;
    socket.off("error", ignore);
    if (answer.kind === "ok") return answer;
    const { code, detail } = answer;
    const status = ERRORS[code].temporary ? 503 : 401;
    return refused({ status, code, ...(detail === undefined ? {} : { detail }) });
  }

  #open(request: IncomingMessage, socket: Duplex, head: Buffer, principal?: Principal): void {
    const { peers, counters, onOpen } = this.#deps;
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      counters.accepted++;
      const peer = new SocketPeer(peers, newId("con", peers.clock), ws, socket, (self) => this.#kind.speak(self));
      if (principal !== undefined) void peer.admit(principal);
      onOpen(peer);
    });
  }

  #refuse(socket: Duplex, refusal: UpgradeRefusal): void {
    this.#deps.counters.refused++;
    refuseUpgrade(socket, refusal);
  }
}

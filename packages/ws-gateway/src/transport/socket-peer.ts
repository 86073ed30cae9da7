// One WebSocket, whatever is spoken on it: identity, deadlines, heartbeat, the queue, the way it ends. What the bytes mean is a
// wire protocol's own (native, phoenix, centrifugo).

import type { Clock, ErrorCode } from "@outcry/protocol";
import type { Duplex } from "node:stream";
import type { RawData } from "ws";
import type { Format, Sink } from "../channels/format.js";
import type { Authenticated, Policy, Principal } from "../channels/policy.js";
import { Session, type SessionDeps } from "../channels/session.js";
import type { GatewayLimits } from "../limits.js";
import { Allowance } from "./allowance.js";
import { CLOSE, type CloseReason } from "./close-codes.js";
import type { ClosingSocket, SocketListener } from "./closing-socket.js";
import { identify } from "./identify.js";
import type { PeerState } from "../inspect/inspect-peers.js";
import { type Flusher, Outbox } from "./outbox.js";
import type { Peer } from "./peer.js";

export interface WireProtocol {
  readonly format: Format;
  /** Asks for a sign of life; absent where the client gives one by itself. */
  readonly ping?: Buffer;
  /** One message of the client. */
  receive(data: Buffer, isBinary: boolean): void;
  /** The last words before the close frame. */
  bye(why: CloseReason, afterMs: number): Buffer | undefined;
  /** The socket is gone. */
  closed?(): void;
}

/** What every transport needs of the engine. */
export interface PeerDeps extends SessionDeps {
  readonly policy: Policy;
  readonly flusher: Flusher;
  readonly clock: Clock;
  readonly limits: GatewayLimits;
  /** `why` is undefined when the client went by itself. */
  readonly onClose: (peer: Peer, why: CloseReason | undefined) => void;
}

export interface SocketPeerDeps extends PeerDeps {
  /** Those that have not said who they are. */
  readonly anonymous: Set<Peer>;
}

export class SocketPeer implements Peer, Sink, SocketListener {
  readonly id: string;
  readonly #deps: SocketPeerDeps;
  readonly #ws: ClosingSocket;
  readonly #protocol: WireProtocol;
  readonly #outbox: Outbox;
  readonly #openedAt = performance.now();
  readonly #allowance: Allowance;
  #session: Session | undefined;
  /** Last sign of life, and the ping that waits for one; by `performance.now()`. */
  #aliveAt = performance.now();
  #pingedAt: number | undefined;
  #ending: CloseReason | "by_peer" | undefined;

  constructor(
    deps: SocketPeerDeps,
    id: string,
    ws: ClosingSocket,
    socket: Duplex,
    speak: (peer: SocketPeer) => WireProtocol,
  ) {
    this.#deps = deps;
    this.id = id;
    this.#ws = ws;
    this.#outbox = new Outbox(socket, deps.flusher, deps.limits);
    this.#allowance = new Allowance(deps.limits.commandsPerSecond, deps.limits.commandsBurst);
    this.#protocol = speak(this);
    deps.anonymous.add(this);
    ws.tell(this);
  }

  get format(): Format {
    return this.#protocol.format;
  }

  get limits(): GatewayLimits {
    return this.#deps.limits;
  }

  get clock(): Clock {
    return this.#deps.clock;
  }

  /** Undefined until it has said who it is. */
  get session(): Session | undefined {
    return this.#session;
  }

  get principal(): Principal | undefined {
    return this.#session?.principal;
  }

  get channels(): string[] {
    return this.#session?.channels ?? [];
  }

  get queueBytes(): number {
    return this.#outbox.bytes;
  }

  inspect(): PeerState {
    const zero = this.#deps.clock.now() - performance.now();
    return {
      protocol: this.format.name,
      openedAt: zero + this.#openedAt,
      aliveAt: zero + this.#aliveAt,
      queueFrames: this.#outbox.frames,
      subscriptions: this.#session?.inspect() ?? [],
    };
  }

  get ending(): boolean {
    return this.#ending !== undefined;
  }

  offer(frame: Buffer): boolean {
    return this.#outbox.offer(frame);
  }

  ready(): Promise<boolean> {
    return this.#outbox.ready();
  }

  /** A reply that finds no room means a peer that commands without reading. */
  reply(frame: Buffer): void {
    if (this.#ending === undefined && !this.#outbox.offer(frame)) this.end(CLOSE.slow);
  }

  identify(token: string): Promise<Authenticated> {
    return identify(this.#deps, token);
  }

  /** The one who opens it, or its renewed rights. False when it is someone else: a connection stays with the one who opened it. */
  async admit(principal: Principal): Promise<boolean> {
    if (this.#session === undefined) {
      this.#session = new Session(this.#deps, principal, this);
      this.#deps.anonymous.delete(this);
      return true;
    }
    if (this.#session.principal.id !== principal.id) return false;
    await this.#session.renew(principal);
    return true;
  }

  /** Counts a command. False when the connection ends for having sent too many. */
  mayCommand(): boolean {
    if (this.#allowance.take()) return true;
    this.end(CLOSE.rate, this.#deps.limits.sweepMs);
    return false;
  }

  heartbeat(): void {
    this.#aliveAt = performance.now();
    this.#pingedAt = undefined;
  }

  sweep(): void {
    const { limits, clock } = this.#deps;
    const now = performance.now();
    if (this.#ending !== undefined) return;
    const expiresAt = this.principal?.expiresAt;
    if (this.#session === undefined && now - this.#openedAt >= limits.authMs) this.end(CLOSE.authTimeout);
    else if (expiresAt !== undefined && clock.now() >= expiresAt) this.end(CLOSE.tokenExpired);
    else if (this.#outbox.bytes > 0 && now - this.#outbox.movedAt >= limits.stallMs) this.end(CLOSE.slow);
    else if (this.#session?.lagsSince(now - limits.lagMs)) this.end(CLOSE.slow);
    else this.#keepAlive(now);
  }

  /** A reader too slow to be told comes back and is refused then. */
  endChannel(channel: string, code: ErrorCode): void {
    if (this.#session?.unsubscribe(channel) === true && !this.offer(this.format.ended(channel, code)))
      this.end(CLOSE.slow);
  }

  /** Says why and closes. What is queued for a reader that takes nothing is dropped: its cursor brings it back. */
  end(why: CloseReason, afterMs = 0): void {
    if (this.#ending !== undefined) return;
    this.#ending = why;
    const bye = this.#protocol.bye(why, afterMs);
    this.#session?.close();
    if (why === CLOSE.slow) this.#outbox.discard();
    else {
      if (bye !== undefined) this.#outbox.offer(bye);
      this.#outbox.end();
    }
    this.#ws.close(why.number, why.code);
    setTimeout(() => this.#ws.terminate(), this.#deps.limits.closeMs).unref();
  }

  #keepAlive(now: number): void {
    const { pingMs, pongMs, idleMs } = this.#deps.limits;
    const { ping } = this.#protocol;
    if (ping === undefined) {
      if (now - this.#aliveAt >= idleMs) this.end(CLOSE.noPong);
    } else if (this.#pingedAt !== undefined) {
      if (now - this.#pingedAt >= pongMs) this.end(CLOSE.noPong);
    } else if (now - this.#aliveAt >= pingMs) {
      this.#session?.advance();
      this.#pingedAt = now;
      this.#outbox.offer(ping);
    }
  }

  onMessage(data: RawData, isBinary: boolean): void {
    this.heartbeat();
    if (this.#ending === undefined) this.#protocol.receive(data as Buffer, isBinary);
  }

  /** RFC 6455's own pings and pongs: a sign of life, and counted like commands. */
  onControl(): void {
    this.heartbeat();
    if (this.#ending === undefined) this.mayCommand();
  }

  /** What is queued goes out before the close frame, whoever closes, and nothing behind it. */
  onClosing(): void {
    this.#ending ??= "by_peer";
    this.#session?.close();
    this.#outbox.end();
  }

  onClose(): void {
    this.#ending ??= "by_peer";
    this.#outbox.discard();
    this.#session?.close();
    this.#protocol.closed?.();
    this.#deps.anonymous.delete(this);
    this.#deps.onClose(this, this.#ending === "by_peer" ? undefined : this.#ending);
  }
}

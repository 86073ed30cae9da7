// The engine of one process: one live log, one hub, many connections. It knows channels and cursors, nothing of intents.

import { type Clock, type Log, OutcryError } from "@outcry/protocol";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { ChannelHub } from "./channels/channel-hub.js";
import { ChannelIndex } from "./channels/channel-index.js";
import { FrameTapes } from "./channels/frame-tapes.js";
import type { CloseReason } from "./transport/close-codes.js";
import { Connections } from "./transport/connections.js";
import { centrifugoSocket } from "./centrifugo/centrifugo-socket.js";
import { LongPolls } from "./phoenix/long-poll.js";
import { phoenixSocket } from "./phoenix/phoenix-socket.js";
import { nativeSocket } from "./native/native-socket.js";
import { CursorCodec, type CursorKey } from "./channels/cursor.js";
import type { EventSource } from "./log/event-source.js";
import type { Sink } from "./channels/format.js";
import { Inspection } from "./inspect/inspection.js";
import { Hints } from "./presence/hints.js";
import { Presence } from "./presence/presence.js";
import { localBus, type ProcessBus } from "./presence/process-bus.js";
import { ReplayPages } from "./log/replay.js";
import { type HttpStreamDeps, openHttpStream } from "./http-stream/http-stream.js";
import { GATEWAY_LIMITS, type GatewayLimits } from "./limits.js";
import { LiveLog } from "./log/live-log.js";
import type { GatewayObserver } from "./observer.js";
import { Flusher } from "./transport/outbox.js";
import type { Peer } from "./transport/peer.js";
import type { EventPublisher, Policy, Principal, PublishableEvent, Published } from "./channels/policy.js";
import { Session, type SessionDeps } from "./channels/session.js";
import { SocketAcceptor } from "./transport/accept-sockets.js";
import type { SocketPeerDeps } from "./transport/socket-peer.js";
import type { UpgradeRefusal } from "./transport/upgrade.js";

export interface GatewayDeps {
  readonly source: EventSource;
  readonly policy: Policy;
  /** The first writes cursors, all read them. */
  readonly cursorKeys: readonly CursorKey[];
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: () => number;
  readonly publisher?: EventPublisher;
  /** Of this process, to operators. */
  readonly name?: string;
  /** To the other processes, for presence, hints and operators' questions. Default: there are none. */
  readonly bus?: ProcessBus;
  /** Origins of browsers that may connect, `*` for any; a request without Origin is no browser's and may always. */
  readonly allowedOrigins?: readonly string[];
  readonly limits?: Partial<GatewayLimits>;
  readonly observer?: GatewayObserver;
}

/** The wire protocols that are spoken on sockets. */
export type SocketProtocol = "native" | "phoenix" | "centrifugo";

export class GatewayEngine {
  readonly liveLog: LiveLog;
  readonly hub: ChannelHub;
  readonly pages: ReplayPages;
  readonly #presence: Presence;
  readonly #hints: Hints;
  readonly #inspection: Inspection;
  readonly counters = { accepted: 0, refused: 0 };
  readonly #deps: GatewayDeps;
  readonly #limits: GatewayLimits;
  readonly #connections: Connections;
  readonly #acceptors: Readonly<Record<SocketProtocol, SocketAcceptor>>;
  readonly #streamDeps: HttpStreamDeps;
  readonly #longPolls: LongPolls;
  readonly #sessionDeps: SessionDeps;
  #sweeping: NodeJS.Timeout | undefined;
  #started = false;
  #draining = false;

  constructor(deps: GatewayDeps) {
    const limits = { ...GATEWAY_LIMITS, ...deps.limits };
    const { source, policy, log, clock } = deps;
    const cursors = new CursorCodec(deps.cursorKeys);
    const hub = new ChannelHub({
      cursors,
      render: (view, data) => policy.render(view, data),
      keysOf: (subject) => policy.keysOf(subject),
      log,
      limits,
    });
    const liveLog: LiveLog = new LiveLog({
      source,
      log,
      limits,
      onEvent: (event) => hub.deliver(event),
      onReset: (reason) => {
        hub.bind(liveLog.epoch);
        hub.resetAll(reason, { seq: liveLog.last, time: liveLog.lastTime });
      },
    });
    this.#deps = deps;
    this.#limits = limits;
    this.hub = hub;
    this.liveLog = liveLog;
    this.pages = new ReplayPages({ source, liveLog, limits });
    const { bus = localBus(), random = Math.random, allowedOrigins = [] } = deps;
    this.#connections = new Connections({ policy, limits, allowedOrigins, observer: deps.observer, random });
    this.#presence = new Presence({ bus, limits, log });
    this.#hints = new Hints({
      bus,
      limits,
      log,
      tell: (key, hint, client) => hub.tell(key, (format, channel) => format.hint(channel, hint), client),
    });
    this.#inspection = new Inspection({ bus, limits, name: deps.name, peers: this.#connections.peers, liveLog });
    const index = new ChannelIndex(liveLog.ring, (subject) => policy.keysOf(subject));
    this.#sessionDeps = {
      presence: this.#presence,
      hints: this.#hints,
      source,
      policy,
      log,
      limits,
      hub,
      liveLog,
      index,
      tapes: new FrameTapes({
        limits,
        ring: liveLog.ring,
        index,
        framed: (route, format, event) => hub.framed(route, format, event),
      }),
      observer: deps.observer,
      pages: this.pages,
    };
    const common = {
      ...this.#sessionDeps,
      clock,
      limits,
      flusher: new Flusher(limits),
      onClose: (peer: Peer, why: CloseReason | undefined) => this.#connections.closed(peer, why),
    };
    const onOpen = (peer: Peer) => this.#connections.opened(peer);
    this.#streamDeps = { ...common, random, allowedOrigins, onOpen };
    this.#longPolls = new LongPolls({ ...common, allowedOrigins, onOpen });
    this.#acceptors = this.#acceptorsOf({ ...common, anonymous: this.#connections.anonymous }, onOpen);
  }

  /** Resolves when the head of the stream is known; until then it accepts nobody. */
  async start(): Promise<void> {
    this.#sweeping = setInterval(() => this.#connections.sweep(), this.#limits.sweepMs);
    await this.liveLog.start();
    this.hub.bind(this.liveLog.epoch);
    this.#presence.start();
    this.#hints.start();
    this.#inspection.start();
    this.#started = true;
  }

  get connections(): number {
    return this.#connections.peers.size;
  }

  /** Bytes that wait to be written, all connections together. */
  get queueBytes(): number {
    return this.#connections.queueBytes;
  }

  /** Connections by role; `anonymous` are those without identity. */
  get roles(): Record<string, number> {
    return this.#connections.roles;
  }

  /** Why it should get no new connections; undefined when all is well. */
  get unready(): string | undefined {
    if (this.#draining) return "stopping";
    return this.liveLog.ready ? undefined : "the event stream is not readable or its head is not proven";
  }

  /** For the HTTP server's `upgrade` event on the path of that wire protocol. */
  handleUpgrade(protocol: SocketProtocol, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    void this.#acceptors[protocol].accept(request, socket, head);
  }

  /** For all requests of the HTTP server on the path of streams. Resolves when the answer has begun, or is over. */
  async handleStream(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await openHttpStream(this.#streamDeps, request, response, this.#unopenable(request));
    } catch (error) {
      this.#deps.log.error({ error: String(error) }, "gateway: a stream could not be answered"); // a fault of ours ends one client
      response.destroy();
    }
  }

  /** For all requests of the HTTP server on the path of Phoenix's long polls. Resolves when they are answered, or wait. */
  async handleLongPoll(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#longPolls.handle(request, response, this.#unopenable(request));
    } catch (error) {
      this.#deps.log.error({ error: String(error) }, "gateway: a long poll could not be answered"); // ends one client
      response.destroy();
    }
  }

  /** Subscriptions of one principal on any sink: for other wire protocols and for use in process. */
  open(principal: Principal, sink: Sink): Session {
    return new Session(this.#sessionDeps, principal, sink);
  }

  /** Appends, idempotent by event id; resolves when the stream has it, after which online subscribers get it. */
  async publishEvent(channel: string, event: PublishableEvent): Promise<Published> {
    if (this.#deps.publisher === undefined) throw new OutcryError("permission_denied", "this gateway has no publisher");
    return this.#deps.publisher.publish(channel, event);
  }

  /** Keeps a connection alive and moves its clean-up on. False when there is no such connection here. */
  heartbeat(connectionId: string): boolean {
    const peer = this.#connections.peers.get(connectionId);
    peer?.heartbeat();
    return peer !== undefined;
  }

  /** Closes what belongs to a principal that lost its right; returns how many. */
  revoke(isRevoked: (principal: Principal) => boolean): number {
    return this.#connections.revoke(isRevoked);
  }

  /** Ends one channel of principals that lost the right to it. */
  revokeChannel(channel: string, isRevoked: (principal: Principal) => boolean): void {
    this.#connections.revokeChannel(channel, isRevoked);
  }

  /** Sends everyone away, spread over `drainMs` with jittered advice, and stops. */
  async drain(drainMs: number = this.#limits.drainMs): Promise<void> {
    this.#draining = true;
    await this.#connections.drain(drainMs);
    this.stop();
  }

  /** At once. */
  stop(): void {
    this.#draining = true;
    clearInterval(this.#sweeping);
    this.liveLog.stop();
    this.#connections.endAll();
    this.#inspection.stop();
    this.#presence.stop();
    this.#hints.stop();
  }

  #acceptorsOf(peers: SocketPeerDeps, onOpen: (peer: Peer) => void): Record<SocketProtocol, SocketAcceptor> {
    const deps = {
      peers,
      unopenable: (request: IncomingMessage) => this.#unopenable(request),
      onOpen,
      counters: this.counters,
    };
    return {
      native: new SocketAcceptor(deps, nativeSocket),
      phoenix: new SocketAcceptor(deps, phoenixSocket),
      centrifugo: new SocketAcceptor(deps, centrifugoSocket(this.#deps.cursorKeys)),
    };
  }

  /** Why nobody may connect now, or not from this origin. */
  #unopenable(request: IncomingMessage): UpgradeRefusal | undefined {
    if (this.#draining) return { status: 503, code: "shutting_down" };
    if (!this.#started) return { status: 503, code: "dependency_unavailable", detail: "the gateway is starting" };
    return this.#connections.unopenable(request);
  }
}

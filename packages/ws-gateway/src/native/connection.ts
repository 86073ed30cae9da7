// One socket that speaks `outcry.v1`: identity first, then commands; deadlines and heartbeat; the way it ends.

import type { Clock, ErrorCode } from "@outcry/protocol";
import type { Duplex } from "node:stream";
import type { RawData } from "ws";
import { CLOSE, type CloseReason } from "../transport/close-codes.js";
import type { ClosingSocket } from "../transport/closing-socket.js";
import type { Sink } from "../channels/format.js";
import type { GatewayLimits } from "../limits.js";
import { type Command, readCommands } from "./native-commands.js";
import { byeFrame, type CommandId, errFrame, nativeFormat, okFrame, pingFrame } from "./native-format.js";
import { type Flusher, Outbox } from "../transport/outbox.js";
import type { Peer } from "../transport/peer.js";
import type { Policy, Principal } from "../channels/policy.js";
import { Session, type SessionDeps } from "../channels/session.js";

export interface ConnectionDeps extends SessionDeps {
  readonly policy: Policy;
  readonly flusher: Flusher;
  readonly clock: Clock;
  readonly limits: GatewayLimits;
  /** Those that have not said who they are. */
  readonly anonymous: Set<Connection>;
  /** `why` is undefined when the peer went by itself. */
  readonly onClose: (connection: Connection, why: CloseReason | undefined) => void;
}

export class Connection implements Peer, Sink {
  readonly id: string;
  readonly format = nativeFormat;
  readonly #deps: ConnectionDeps;
  readonly #ws: ClosingSocket;
  readonly #outbox: Outbox;
  readonly #openedAt = performance.now();
  #session: Session | undefined;
  #authenticating = false;
  /** Last sign of life, and the ping that waits for one; by `performance.now()`. */
  #aliveAt = performance.now();
  #pingedAt: number | undefined;
  #allowance: number;
  #allowanceAt = performance.now();
  #ending: CloseReason | "by_peer" | undefined;

  constructor(deps: ConnectionDeps, id: string, ws: ClosingSocket, socket: Duplex) {
    this.#deps = deps;
    this.id = id;
    this.#ws = ws;
    this.#outbox = new Outbox(socket, deps.flusher, deps.limits);
    this.#allowance = deps.limits.commandsBurst;
    deps.anonymous.add(this);
    ws.on("message", (data, isBinary) => this.#onFrame(data, isBinary));
    ws.on("ping", () => this.#onControl());
    ws.on("pong", () => this.#onControl());
    ws.on("error", () => undefined); // ws closes with the right code by itself (RFC 6455 §7.4.1)
    ws.on("close", () => this.#onClose());
    ws.onClosing = () => this.#onClosing();
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

  offer(frame: Buffer): boolean {
    return this.#outbox.offer(frame);
  }

  ready(): Promise<boolean> {
    return this.#outbox.ready();
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
    else if (this.#pingedAt !== undefined && now - this.#pingedAt >= limits.pongMs) this.end(CLOSE.noPong);
    else if (this.#pingedAt === undefined && now - this.#aliveAt >= limits.pingMs) this.#ping(now);
  }

  /** Says why and closes. What is queued for a reader that takes nothing is dropped: its cursor brings it back. */
  end(why: CloseReason, afterMs = 0): void {
    if (this.#ending !== undefined) return;
    this.#ending = why;
    this.#session?.close();
    if (why === CLOSE.slow) this.#outbox.discard();
    else {
      this.#outbox.offer(byeFrame(why, afterMs));
      this.#outbox.end();
    }
    this.#ws.close(why.number, why.code);
    setTimeout(() => this.#ws.terminate(), this.#deps.limits.closeMs).unref();
  }

  #ping(now: number): void {
    this.#session?.advance();
    this.#pingedAt = now;
    this.#outbox.offer(pingFrame);
  }

  #onFrame(data: RawData, isBinary: boolean): void {
    this.heartbeat();
    if (this.#ending !== undefined) return;
    if (isBinary) return this.end(CLOSE.badFrame);
    let commands = 0;
    for (const read of readCommands(data as Buffer)) {
      commands++;
      if (!this.#mayCommand()) return this.#endFlood();
      if (read.kind === "ok") this.#do(read.command);
      else this.#reply(errFrame(read.kind === "refused" ? read.id : undefined, read.code, read.detail));
      if (read.kind === "broken") return this.end(CLOSE.badFrame);
      if (this.#ending !== undefined) return;
    }
    if (commands === 0 && !this.#mayCommand()) this.#endFlood(); // a frame of nothing costs as much as a command
  }

  /** RFC 6455's own pings and pongs: a sign of life, and counted like commands. */
  #onControl(): void {
    this.heartbeat();
    if (this.#ending === undefined && !this.#mayCommand()) this.#endFlood();
  }

  #endFlood(): void {
    this.end(CLOSE.rate, this.#deps.limits.sweepMs);
  }

  #do(command: Command): void {
    if (command.op === "pong") return;
    if (command.op === "auth") return void this.#auth(command.id, command.token);
    if (this.#session === undefined) return this.#refuse(command.id, "credentials_missing");
    switch (command.op) {
      case "sub":
        return void this.#subscribe(this.#session, command);
      case "unsub":
        this.#session.unsubscribe(command.channel);
        return this.#reply(okFrame(command.id, { ch: command.channel }));
      case "ping":
        return this.#reply(okFrame(command.id, {}));
    }
  }

  /** The first message, and later ones that renew a token in place. */
  async #auth(id: CommandId, token: string): Promise<void> {
    if (this.#authenticating) return this.#reply(errFrame(id, "frame_invalid", "another auth is being checked"));
    this.#authenticating = true;
    const answer = await this.#identify(token);
    this.#authenticating = false;
    if (this.#ending !== undefined) return;
    if (answer.kind === "refused") return this.#refuse(id, answer.code, answer.detail);
    const { principal } = answer;
    if (this.#session === undefined) {
      this.#session = new Session(this.#deps, principal, this);
      this.#deps.anonymous.delete(this);
    } else if (this.#session.principal.id === principal.id) await this.#session.renew(principal);
    else return this.#refuse(id, "permission_denied", "a connection stays with the one who opened it");
    const expires = principal.expiresAt === undefined ? {} : { expires: new Date(principal.expiresAt).toISOString() };
    this.#reply(okFrame(id, { conn: this.id, role: principal.role, ping_ms: this.#deps.limits.pingMs, ...expires }));
  }

  async #identify(token: string) {
    try {
      return await this.#deps.policy.authenticate(token);
    } catch (error) {
      this.#deps.log.warn({ error: String(error) }, "gateway: a token could not be checked");
      return { kind: "refused", code: "dependency_unavailable", detail: undefined } as const;
    }
  }

  async #subscribe(session: Session, { id, channel, cursor, from }: Command & { op: "sub" }): Promise<void> {
    const result = await session.subscribe(channel, cursor, {
      ...(from === undefined ? {} : { from }),
      announce: ({ channel: ch, cursor: c, recovered, reason }) =>
        this.#reply(okFrame(id, { ch, c, recovered, reason })),
    });
    if (result.kind === "refused") this.#reply(errFrame(id, result.code, result.detail));
    if (result.kind === "closed") this.#reply(errFrame(id, "frame_invalid", "replaced or ended before it was open"));
  }

  /** A refusal of who this is ends the connection; a temporary one may be tried again on another. */
  #refuse(id: CommandId, code: ErrorCode, detail?: string): void {
    this.#reply(errFrame(id, code, detail));
    this.end(
      code === "dependency_unavailable"
        ? CLOSE.restart
        : code === "token_expired"
          ? CLOSE.tokenExpired
          : CLOSE.credentials,
    );
  }

  /** A reply that finds no room means a peer that commands without reading. */
  #reply(frame: Buffer): void {
    if (this.#ending === undefined && !this.#outbox.offer(frame)) this.end(CLOSE.slow);
  }

  #mayCommand(): boolean {
    const { commandsPerSecond, commandsBurst } = this.#deps.limits;
    const now = performance.now();
    this.#allowance = Math.min(
      commandsBurst,
      this.#allowance + ((now - this.#allowanceAt) / 1_000) * commandsPerSecond,
    );
    this.#allowanceAt = now;
    this.#allowance--;
    return this.#allowance >= 0;
  }

  /** What is queued goes out before the close frame, whoever closes, and nothing behind it. */
  #onClosing(): void {
    this.#ending ??= "by_peer";
    this.#session?.close();
    this.#outbox.end();
  }

  #onClose(): void {
    this.#ending ??= "by_peer";
    this.#outbox.discard();
    this.#session?.close();
    this.#deps.anonymous.delete(this);
    this.#deps.onClose(this, this.#ending === "by_peer" ? undefined : this.#ending);
  }
}

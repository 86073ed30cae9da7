// One client that polls: its session, its queue, its deadlines.

import type { ErrorCode } from "@outcry/protocol";
import type { ServerResponse } from "node:http";
import type { Sink } from "../channels/format.js";
import type { Principal } from "../channels/policy.js";
import { Session } from "../channels/session.js";
import { CLOSE, type CloseReason } from "../transport/close-codes.js";
import type { PeerState } from "../inspect/inspect-peers.js";
import { Allowance } from "../transport/allowance.js";
import { identify } from "../transport/identify.js";
import { Outbox } from "../transport/outbox.js";
import type { Peer } from "../transport/peer.js";
import type { PeerDeps } from "../transport/socket-peer.js";
import { phoenixFormat } from "./phoenix-format.js";
import { readBinary, readText } from "./phoenix-messages.js";
import { PhoenixProtocol } from "./phoenix-protocol.js";
import { type AnswerPoll, PollOutlet } from "./poll-outlet.js";

/** A message within the list of an answer. */
const inList = (text: string): Buffer => Buffer.from(`${JSON.stringify(text)},`);
const FORMAT = phoenixFormat("phoenix-poll", inList);
const NEWLINE = 0x0a;
const BRACKET = 0x5b;

export class PollPeer implements Peer, Sink {
  readonly format = FORMAT;
  readonly id: string;
  readonly #deps: PeerDeps;
  readonly #outlet: PollOutlet;
  readonly #outbox: Outbox;
  readonly #session: Session;
  readonly #protocol: PhoenixProtocol;
  readonly #allowance: Allowance;
  /** No poll can reach it any more. */
  readonly #onGone: () => void;
  readonly #openedAt = performance.now();
  #polledAt = performance.now();
  #ending = false;

  constructor(deps: PeerDeps, id: string, principal: Principal, answer: AnswerPoll, onGone: () => void) {
    this.#deps = deps;
    this.#onGone = onGone;
    this.#allowance = new Allowance(deps.limits.commandsPerSecond, deps.limits.commandsBurst);
    this.id = id;
    this.#outlet = new PollOutlet(answer);
    this.#outbox = new Outbox(this.#outlet, deps.flusher, deps.limits);
    this.#session = new Session(deps, principal, this);
    this.#protocol = new PhoenixProtocol({
      session: this.#session,
      say: (text) => this.#say(text),
      // This client reads no bytes in answers.
      sayBinary: (to, status, data) =>
        this.#say(JSON.stringify([to.joinRef, to.ref, to.topic, "phx_reply", { status, response: base64(data) }])),
      identify: (token) => identify(deps, token),
    });
  }

  get principal(): Principal {
    return this.#session.principal;
  }

  get channels(): string[] {
    return this.#session.channels;
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

  poll(response: ServerResponse): void {
    this.#polledAt = performance.now();
    this.#outlet.poll(response);
  }

  /** Messages, one a line: JSON, or base64 of a binary push. */
  receive(body: Buffer): void {
    for (let start = 0; start < body.length;) {
      const at = body.indexOf(NEWLINE, start);
      const end = at < 0 ? body.length : at;
      if (end > start && !this.#ending) this.#receiveLine(body.subarray(start, end));
      start = end + 1;
    }
  }

  heartbeat(): void {
    this.#polledAt = performance.now();
  }

  inspect(): PeerState {
    const zero = this.#deps.clock.now() - performance.now();
    return {
      protocol: this.format.name,
      openedAt: zero + this.#openedAt,
      aliveAt: zero + this.#polledAt,
      queueFrames: this.#outbox.frames,
      subscriptions: this.#session.inspect(),
    };
  }

  endChannel(channel: string, code: ErrorCode): void {
    if (this.#session.unsubscribe(channel) && !this.offer(this.format.ended(channel, code))) this.end(CLOSE.slow);
  }

  sweep(): void {
    const { limits, clock } = this.#deps;
    const now = performance.now();
    if (this.#ending) return;
    const { expiresAt } = this.principal;
    if (expiresAt !== undefined && clock.now() >= expiresAt) this.end(CLOSE.tokenExpired);
    else if (!this.#outlet.isPolled && now - this.#outlet.leftAt >= limits.pollGoneMs) this.end(CLOSE.noPong);
    else if (this.#session.lagsSince(now - limits.lagMs)) this.end(CLOSE.slow);
    else if (this.#outlet.isPolled && now - this.#polledAt >= limits.pollMs) this.#outlet.release();
  }

  /**
   * Last words wait a moment for a poll, and keep the next one waiting: the client forgets what it has not handled yet when a poll tells it
   * that the session is gone.
   */
  end(why: CloseReason): void {
    if (this.#ending) return;
    this.#ending = true;
    const lastWords = this.#protocol.bye(why);
    for (const text of lastWords) this.#outbox.offer(inList(text));
    this.#session.close();
    this.#outbox.end();
    this.#outlet.destroyed = true;
    if (lastWords.length === 0) this.#leave();
    else setTimeout(() => this.#leave(), this.#deps.limits.closeMs).unref();
    this.#deps.onClose(this, why);
  }

  #leave(): void {
    this.#onGone();
    this.#outlet.release();
  }

  #receiveLine(line: Buffer): void {
    const message = line[0] === BRACKET ? readText(line) : readBinary(Buffer.from(line.toString("latin1"), "base64"));
    if (!this.#allowance.take()) this.end(CLOSE.rate);
    else if (typeof message === "string") this.end(CLOSE.badFrame);
    else this.#protocol.receive(message);
  }

  #say(text: string): void {
    if (!this.#ending && !this.#outbox.offer(inList(text))) this.end(CLOSE.slow);
  }
}

const base64 = (data: Uint8Array): { base64: string } => ({ base64: Buffer.from(data).toString("base64") });

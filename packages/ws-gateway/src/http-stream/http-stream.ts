// One streamed HTTP answer: identity and channel stand in the request, everything else goes one way (docs/gateway-protocol.md §9).

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { type Clock, type ErrorCode, ERRORS, newId, OutcryError, problemOf } from "@outcry/protocol";
import { CLOSE, type CloseReason } from "../transport/close-codes.js";
import { corsHeaders, preflightHeaders } from "../transport/cors.js";
import type { Sink } from "../channels/format.js";
import type { HttpFormat } from "./http-format.js";
import { GATEWAY_LIMITS, type GatewayLimits } from "../limits.js";
import { identify } from "../transport/identify.js";
import { type Flusher, Outbox } from "../transport/outbox.js";
import type { PeerState } from "../inspect/inspect-peers.js";
import type { Peer } from "../transport/peer.js";
import type { Principal } from "../channels/policy.js";
import { Session, type SessionDeps } from "../channels/session.js";
import { readStreamRequest, type StreamRequest } from "./stream-request.js";
import type { Opened } from "../channels/subscribe.js";
import type { UpgradeRefusal } from "../transport/upgrade.js";

interface Refusal {
  readonly code: ErrorCode;
  readonly detail?: string | undefined;
  /** Default: that of the code. */
  readonly status?: number;
}

export interface HttpStreamDeps extends SessionDeps {
  readonly flusher: Flusher;
  readonly clock: Clock;
  readonly limits: GatewayLimits;
  readonly random: () => number;
  readonly allowedOrigins: readonly string[];
  /** From now on it is swept, counted and ended with the others. */
  readonly onOpen: (stream: HttpStream) => void;
  /** `why` is undefined when the client went by itself. */
  readonly onClose: (stream: HttpStream, why: CloseReason | undefined) => void;
}

/** Answers whatever comes of it. `closed` is why nobody may connect now, or not from there. */
export async function openHttpStream(
  deps: HttpStreamDeps,
  request: IncomingMessage,
  response: ServerResponse,
  closed: UpgradeRefusal | undefined,
): Promise<void> {
  setHeaders(response, corsHeaders(request.headers, deps.allowedOrigins));
  if (request.method === "OPTIONS") return void response.writeHead(204, preflightHeaders(["GET"])).end();
  if (request.method !== "GET") {
    response.setHeader("Allow", "GET, OPTIONS");
    return refuseStream(response, { code: "method_not_allowed" });
  }
  const asked = readStreamRequest(request);
  if (typeof asked === "string") return refuseStream(response, { code: "request_invalid", detail: asked });
  const refuse = (refusal: Refusal): void => refuseAsked(deps, asked, response, refusal);
  if (closed !== undefined) return refuse(closed);
  if (asked.token === undefined) return refuse({ code: "credentials_missing" });
  const identified = await identify(deps, asked.token);
  if (identified.kind === "refused") return refuse(identified);
  if (response.destroyed) return;
  const stream = new HttpStream(deps, identified.principal, asked.format, response);
  const result = await stream.subscribe(asked);
  if (result.kind === "refused") refuse(result);
}

/** While there is no engine yet. */
export function refuseWhileStarting(request: IncomingMessage, response: ServerResponse): void {
  const asked = readStreamRequest(request);
  const refusal = { code: "dependency_unavailable", detail: "the gateway is starting" } as const;
  if (typeof asked === "string") return refuseStream(response, refusal);
  refuseAsked({ random: Math.random, limits: GATEWAY_LIMITS }, asked, response, refusal);
}

function setHeaders(response: ServerResponse, headers: OutgoingHttpHeaders): void {
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
}

/**
 * An EventSource gives up for ever at any answer but 200, and reconnects after an answer of 200 that ends: so what is temporary is said
 * in one, and an expired token, which no repetition mends, with 204 (WHATWG HTML §9.2.3).
 */
function refuseAsked(
  { random, limits }: Pick<HttpStreamDeps, "random" | "limits">,
  { isEventSource, format }: StreamRequest,
  response: ServerResponse,
  refusal: Refusal,
): void {
  if (isEventSource && refusal.code === "token_expired") return void response.writeHead(204).end();
  if (!isEventSource || !ERRORS[refusal.code].temporary) return refuseStream(response, refusal);
  response.writeHead(200, streamHeaders(format));
  response.end(format.bye(CLOSE.restart, retryMs(limits, random)));
}

/** A problem body (RFC 9457). */
function refuseStream(response: ServerResponse, { code, detail, status }: Refusal): void {
  const { httpStatus, temporary } = ERRORS[code];
  const problem = {
    ...problemOf(new OutcryError(code, detail), newId("req")),
    ...(status === undefined ? {} : { status }),
  };
  response.writeHead(status ?? httpStatus, {
    "Content-Type": "application/problem+json",
    ...(temporary ? { "Retry-After": "1" } : {}),
    ...(httpStatus === 401 ? { "WWW-Authenticate": "Bearer" } : {}),
  });
  response.end(JSON.stringify(problem));
}

/** Spread: all clients of a process that dies come back at once. */
const retryMs = ({ streamRetryMs }: GatewayLimits, random: () => number): number =>
  Math.round(streamRetryMs * (0.5 + random()));

const NEVER_MS = 24 * 3_600_000; // an EventSource comes back after every end: by then no token of today lives

const streamHeaders = ({ contentType }: HttpFormat): OutgoingHttpHeaders => ({
  "Content-Type": contentType,
  "Cache-Control": "no-store, no-transform", // a proxy that compresses would hold events back
  "X-Accel-Buffering": "no", // nginx
});

export class HttpStream implements Peer, Sink {
  readonly id: string;
  readonly format: HttpFormat;
  readonly #deps: HttpStreamDeps;
  readonly #response: ServerResponse;
  readonly #outbox: Outbox;
  readonly #session: Session;
  readonly #openedAt = performance.now();
  #pingedAt = performance.now();
  #ending: CloseReason | "by_peer" | undefined;

  constructor(deps: HttpStreamDeps, principal: Principal, format: HttpFormat, response: ServerResponse) {
    this.id = newId("con", deps.clock);
    this.format = format;
    this.#deps = deps;
    this.#response = response;
    this.#outbox = new Outbox(response, deps.flusher, deps.limits);
    this.#session = new Session(deps, principal, this);
    response.on("error", () => undefined); // the client went while something was written: "close" follows
    response.on("close", () => this.#onClose());
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

  inspect(): PeerState {
    const zero = this.#deps.clock.now() - performance.now();
    return {
      protocol: this.format.name,
      openedAt: zero + this.#openedAt,
      aliveAt: zero + this.#outbox.movedAt,
      queueFrames: this.#outbox.frames,
      subscriptions: this.#session.inspect(),
    };
  }

  /** The answer begins with the channel's first message; before it a refusal may still have a status of its own. */
  async subscribe({ channel, wanted }: StreamRequest) {
    const result = await this.#session.subscribe(channel, wanted, (opened) => this.#begin(opened));
    if (result.kind === "refused") this.#session.close();
    return result;
  }

  offer(frame: Buffer): boolean {
    return this.#outbox.offer(frame);
  }

  ready(): Promise<boolean> {
    return this.#outbox.ready();
  }

  /** Nothing comes from the client: that its side is alive shows in what it takes. */
  heartbeat(): void {
    this.#outbox.movedAt = performance.now();
  }

  sweep(): void {
    const { limits, clock } = this.#deps;
    const now = performance.now();
    if (this.#ending !== undefined) return;
    const { expiresAt } = this.principal;
    if (expiresAt !== undefined && clock.now() >= expiresAt) this.end(CLOSE.tokenExpired);
    else if (this.#outbox.bytes > 0 && now - this.#outbox.movedAt >= limits.stallMs) this.end(CLOSE.slow);
    else if (this.#session.lagsSince(now - limits.lagMs)) this.end(CLOSE.slow);
    else if (now - this.#pingedAt >= limits.pingMs) this.#ping(now);
  }

  /** Its only one: the answer ends behind the channel's `end`, and whoever asks again is refused. */
  endChannel(channel: string, code: ErrorCode): void {
    if (this.#ending !== undefined || !this.#session.unsubscribe(channel)) return;
    this.#ending = CLOSE.revoked;
    this.#outbox.offer(this.format.ended(channel, code));
    this.#finish();
  }

  end(why: CloseReason, adviceMs = 0): void {
    if (this.#ending !== undefined) return;
    // Never 0: it would ask without a pause.
    const retry = why === CLOSE.kicked ? NEVER_MS : retryMs(this.#deps.limits, this.#deps.random);
    const afterMs = Math.max(adviceMs, retry);
    this.#ending = why;
    this.#session.close();
    if (why === CLOSE.slow) {
      this.#outbox.discard();
      this.#response.destroy();
      return;
    }
    this.#outbox.offer(this.format.bye(why, afterMs));
    this.#finish();
  }

  #finish(): void {
    this.#outbox.end();
    this.#response.end();
    setTimeout(() => this.#response.destroy(), this.#deps.limits.closeMs).unref();
  }

  #begin(opened: Opened): void {
    this.#response.writeHead(200, streamHeaders(this.format));
    this.#deps.onOpen(this);
    this.offer(this.format.opened(opened, retryMs(this.#deps.limits, this.#deps.random)));
  }

  #ping(now: number): void {
    this.#session.advance();
    this.#pingedAt = now;
    this.#outbox.offer(this.format.ping);
  }

  #onClose(): void {
    this.#ending ??= "by_peer";
    this.#outbox.discard();
    this.#session.close();
    this.#deps.onClose(this, this.#ending === "by_peer" ? undefined : this.#ending);
  }
}

// Phoenix over HTTP long-poll: `…/longpoll?vsn=2.0.0` (phoenix/assets/js/phoenix/longpoll.js), where WebSockets do not get through. A
// session lives in this process; a poll that reaches another one is told that it is gone, and the client joins again with its cursors.

import { ERRORS, type ErrorCode, newId } from "@outcry/protocol";
import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Principal } from "../channels/policy.js";
import { corsHeaders, preflightHeaders } from "../transport/cors.js";
import { identify } from "../transport/identify.js";
import type { Peer } from "../transport/peer.js";
import type { PeerDeps } from "../transport/socket-peer.js";
import type { UpgradeRefusal } from "../transport/upgrade.js";
import { PollPeer } from "./poll-peer.js";
import { queryOf, versionFault } from "./phoenix-socket.js";

const TOKEN_BYTES = 18;

export interface LongPollDeps extends PeerDeps {
  readonly allowedOrigins: readonly string[];
  readonly onOpen: (peer: Peer) => void;
}

/** The status that counts stands in the body; the client reads no other. */
interface Answer {
  readonly status: 200 | 204 | 403 | 410 | 500;
  readonly token?: string | null;
  readonly messages?: readonly string[];
  /** Ours: why. */
  readonly code?: ErrorCode;
}

export class LongPolls {
  readonly #deps: LongPollDeps;
  readonly #sessions = new Map<string, PollPeer>();

  constructor(deps: LongPollDeps) {
    this.#deps = deps;
  }

  /** Answers whatever comes of it. `closed` is why nobody may connect now, or not from there. */
  async handle(request: IncomingMessage, response: ServerResponse, closed: UpgradeRefusal | undefined): Promise<void> {
    for (const [name, value] of Object.entries(corsHeaders(request.headers, this.#deps.allowedOrigins)))
      response.setHeader(name, value);
    if (request.method === "OPTIONS") return void response.writeHead(204, preflightHeaders(["GET", "POST"])).end();
    if (closed?.status === 403) return answer(response, { status: 403, code: closed.code });
    const query = queryOf(request.url);
    if (versionFault(query) !== undefined) return answer(response, { status: 403, code: "request_invalid" });
    const token = query.getAll("token").at(-1) ?? ""; // an application's own parameter of that name stands before it
    const session = this.#sessions.get(token);
    if (request.method === "POST") return this.#post(request, response, session);
    if (session !== undefined) return session.poll(response);
    if (token !== "" && token !== "null") return answer(response, { status: 410, token: null });
    if (closed !== undefined) return answer(response, { status: 500, code: closed.code });
    return this.#open(request, response, query);
  }

  async #open(request: IncomingMessage, response: ServerResponse, query: URLSearchParams): Promise<void> {
    const header = request.headers["x-phoenix-authtoken"];
    const token = (typeof header === "string" ? header : undefined) ?? query.get("access_token") ?? undefined;
    const identified = await identify(this.#deps, token);
    if (identified.kind === "refused")
      return answer(response, { status: ERRORS[identified.code].temporary ? 500 : 403, code: identified.code });
    if (response.destroyed) return;
    answer(response, { status: 410, token: this.#begin(identified.principal) });
  }

  #begin(principal: Principal): string {
    const token = randomBytes(TOKEN_BYTES).toString("base64url");
    const peer = new PollPeer(
      this.#deps,
      newId("con", this.#deps.clock),
      principal,
      (response, messages) => answerMessages(response, token, messages),
      () => void this.#sessions.delete(token),
    );
    this.#sessions.set(token, peer);
    this.#deps.onOpen(peer);
    return token;
  }

  async #post(request: IncomingMessage, response: ServerResponse, session: PollPeer | undefined): Promise<void> {
    const body = await readBody(request, this.#deps.limits.pollBodyBytesMax);
    if (session === undefined || body === undefined) return answer(response, { status: 410, token: null });
    session.receive(body);
    answer(response, { status: 200 });
  }
}

/** While there is no engine yet. */
export const refusePollWhileStarting = (response: ServerResponse): void =>
  answer(response, { status: 500, code: "dependency_unavailable" });

const HEADERS = { "Content-Type": "application/json", "Cache-Control": "no-store" };

function answer(response: ServerResponse, { token = null, messages = [], ...rest }: Answer): void {
  response.writeHead(200, HEADERS).end(JSON.stringify({ ...rest, token, messages }));
}

/** Each message is a JSON text of its own, followed by a comma. */
function answerMessages(response: ServerResponse, token: string, messages: Buffer): void {
  if (messages.length === 0) return answer(response, { status: 204, token });
  response.writeHead(200, HEADERS);
  response.write(`{"status":200,"token":"${token}","messages":[`);
  response.write(messages.subarray(0, -1));
  response.end("]}");
}

/** Undefined where it is longer than allowed, or broke off. */
async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of request as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > bytesMax) return undefined;
      parts.push(part);
    }
  } catch {
    return undefined; // the client is gone: nobody hears an answer
  }
  return Buffer.concat(parts);
}

// Centrifugo's JSON protocol on a socket (docs/gateway-protocol.md §11): the stock client connects with our token, subscribes and
// recovers by epoch and offset.

import type { ErrorCode } from "@outcry/protocol";
import type { CursorKey } from "../channels/cursor.js";
import type { Format } from "../channels/format.js";
import type { Session } from "../channels/session.js";
import type { Opened } from "../channels/subscribe.js";
import type { SocketKind } from "../transport/accept-sockets.js";
import { CLOSE, closeOfRefusal } from "../transport/close-codes.js";
import type { SocketPeer, WireProtocol } from "../transport/socket-peer.js";
import { type CentrifugoCommand, readCommands } from "./centrifugo-commands.js";
import type { PresenceShown } from "../presence/presence-shown.js";
import { textFrame } from "../transport/frame.js";
import { centrifugoFormat, clientsOf, errorFrame, pingFrame, replyFrame, UNRECOVERABLE } from "./centrifugo-format.js";
import { splitOffset } from "./offset.js";

const SUBPROTOCOL = "centrifuge-json";
const SECOND_MS = 1_000;

export function centrifugoSocket(keys: readonly CursorKey[]): SocketKind {
  const format = centrifugoFormat(keys);
  return {
    faultOf({ headers }) {
      const offered = headers["sec-websocket-protocol"];
      return offered === undefined || offered.includes(SUBPROTOCOL) ? undefined : `the subprotocol is ${SUBPROTOCOL}`;
    },
    select: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    speak: (peer) => new CentrifugoSocket(peer, format),
  };
}

class CentrifugoSocket implements WireProtocol {
  readonly format: Format;
  readonly ping = pingFrame;
  readonly #peer: SocketPeer;
  /** What came behind `connect`, while its token is checked: this client does not wait for the reply. */
  #held: CentrifugoCommand[] | undefined;

  constructor(peer: SocketPeer, format: Format) {
    this.#peer = peer;
    this.format = format;
  }

  /** The close code says it all. */
  bye(): undefined {
    return undefined;
  }

  receive(data: Buffer, isBinary: boolean): void {
    const commands = isBinary ? undefined : readCommands(data);
    if (commands === undefined) return this.#peer.end(CLOSE.badFrame);
    if (commands.length === 0) this.#peer.mayCommand(); // a pong, or nothing: it costs as much as a command
    for (const command of commands) {
      if (!this.#peer.mayCommand() || this.#peer.ending) return;
      this.#do(command);
    }
  }

  #do(command: CentrifugoCommand): void {
    const { session } = this.#peer;
    if (command.kind === "connect") return void this.#connect(command.id, command.token);
    if (this.#held !== undefined) return void this.#held.push(command); // bounded by the burst of commands
    if (session === undefined) return this.#peer.end(CLOSE.credentials);
    switch (command.kind) {
      case "refresh":
        return void this.#refresh(command.id, command.token, session);
      case "subscribe":
        return void this.#subscribe(session, command);
      case "unsubscribe":
        session.unsubscribe(command.channel);
        return this.#peer.reply(replyFrame(command.id, "unsubscribe", {}));
      case "presence":
      case "presence_stats":
        return this.#presence(session, command);
      case "hint": {
        const answer = session.hint(command.channel, command.hint, command.data);
        if (answer.kind === "refused") return this.#refuse(command.id, answer.code, answer.detail);
        return this.#peer.reply(replyFrame(command.id, "publish", {}));
      }
      case "rpc":
        return void this.#rpc(session, command);
      case "unavailable":
        return this.#refuse(command.id, "frame_invalid", "not offered here");
    }
  }

  async #connect(id: number, token: string): Promise<void> {
    if (this.#held !== undefined || this.#peer.session !== undefined) return this.#peer.end(CLOSE.badFrame);
    this.#held = [];
    const answer = await this.#peer.identify(token);
    if (this.#peer.ending) return;
    if (answer.kind === "refused") {
      this.#refuse(id, answer.code, answer.detail);
      return this.#peer.end(closeOfRefusal(answer.code));
    }
    await this.#peer.admit(answer.principal);
    const ping = Math.ceil(this.#peer.limits.pingMs / SECOND_MS);
    const result = { client: this.#peer.id, version: "outcry", ping, pong: true, ...this.#expiry() };
    this.#peer.reply(replyFrame(id, "connect", result));
    const held = this.#held;
    this.#held = undefined;
    for (const command of held) if (!this.#peer.ending) this.#do(command);
  }

  async #refresh(id: number, token: string, session: Session): Promise<void> {
    const answer = await this.#peer.identify(token);
    if (this.#peer.ending) return;
    if (answer.kind === "refused") return this.#refuse(id, answer.code, answer.detail);
    if (answer.principal.id !== session.principal.id)
      return this.#refuse(id, "permission_denied", "a connection stays with the one who opened it");
    await session.renew(answer.principal);
    this.#peer.reply(replyFrame(id, "refresh", this.#expiry()));
  }

  async #subscribe(session: Session, command: CentrifugoCommand & { kind: "subscribe" }): Promise<void> {
    const { id, channel, wanted, rejectUnrecovered } = command;
    const rejects = (opened: Opened): boolean => rejectUnrecovered && opened.recovered === false;
    const result = await session.subscribe(channel, wanted, (opened) =>
      this.#peer.reply(
        rejects(opened) ? errorFrame(id, UNRECOVERABLE) : replyFrame(id, "subscribe", subscribed(opened)),
      ),
    );
    if (result.kind === "refused") this.#refuse(id, result.code, result.detail);
    if (result.kind === "closed") this.#refuse(id, "frame_invalid", "replaced or ended before it was open");
    if (result.kind === "subscribed" && rejects(result)) session.unsubscribe(channel);
  }

  /** Bytes have no place in JSON: they are answered as base64. */
  async #rpc(session: Session, { id, channel, command }: CentrifugoCommand & { kind: "rpc" }): Promise<void> {
    const reply = await session.command(channel, command);
    if (reply.kind === "refused") return this.#refuse(id, reply.code, reply.detail);
    const { response } = reply;
    const data = response instanceof Uint8Array ? { base64: Buffer.from(response).toString("base64") } : response;
    this.#peer.reply(replyFrame(id, "rpc", { data }));
  }

  /** Where there are too many to name, only the statistics are given. */
  #presence(
    session: Session,
    { id, kind, channel }: CentrifugoCommand & { kind: "presence" | "presence_stats" },
  ): void {
    const shown = session.look(channel);
    if (shown.kind === "refused") return this.#refuse(id, shown.code, shown.detail);
    if (kind === "presence_stats") return this.#peer.reply(replyFrame(id, kind, statsOf(shown)));
    if (shown.kind !== "state") return this.#refuse(id, "frame_invalid", "too many to name: ask for presence_stats");
    const clients = clientsOf(shown.members).map(([client, info]) => `${JSON.stringify(client)}:${info}`);
    this.#peer.reply(textFrame(`{"id":${id},"presence":{"presence":{${clients.join(",")}}}}`));
  }

  #expiry(): object {
    const expiresAt = this.#peer.principal?.expiresAt;
    if (expiresAt === undefined) return {};
    return { expires: true, ttl: Math.max(1, Math.floor((expiresAt - this.#peer.clock.now()) / SECOND_MS)) };
  }

  #refuse(id: number, code: ErrorCode, detail?: string): void {
    this.#peer.reply(errorFrame(id, code, detail));
  }
}

/** The position is the one recovered from: what was missed follows as ordinary publications, each of which moves it. */
function subscribed({ cursor, recovered }: Opened): object {
  const { epoch, offset } = splitOffset(cursor);
  const recovery = recovered === undefined ? {} : { was_recovering: true, recovered };
  return { recoverable: true, positioned: true, epoch, offset, ...recovery };
}

/** Above the number that is named, each member counts as one client. */
function statsOf(shown: PresenceShown): object {
  if (shown.kind !== "state") return { num_clients: shown.kind === "count" ? shown.count : 0, num_users: 0 };
  return { num_clients: clientsOf(shown.members).length, num_users: shown.members.length };
}

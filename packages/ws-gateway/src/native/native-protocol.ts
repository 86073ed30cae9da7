// `outcry.v1` on a socket (docs/gateway-protocol.md): identity first, then commands, each with its reply.

import type { ErrorCode } from "@outcry/protocol";
import type { Attended } from "../channels/attendance.js";
import type { Session } from "../channels/session.js";
import { CLOSE, closeOfRefusal, type CloseReason } from "../transport/close-codes.js";
import type { SocketPeer, WireProtocol } from "../transport/socket-peer.js";
import { type Command, readCommands } from "./native-commands.js";
import {
  byeFrame,
  type CommandId,
  errFrame,
  nativeFormat,
  okFrame,
  okText,
  pingFrame,
  presenceText,
  subscribedFrame,
} from "./native-format.js";

export class NativeProtocol implements WireProtocol {
  readonly format = nativeFormat;
  readonly ping = pingFrame;
  readonly #peer: SocketPeer;
  #authenticating = false;
  /** Commands that came behind the first `auth` and before its reply. */
  #held: Command[] | undefined;
  #heldBytes = 0;

  constructor(peer: SocketPeer) {
    this.#peer = peer;
  }

  bye(why: CloseReason, afterMs: number): Buffer {
    return byeFrame(why, afterMs);
  }

  receive(data: Buffer, isBinary: boolean): void {
    if (isBinary) return this.#peer.end(CLOSE.badFrame);
    if (!this.#mayHold(data.length)) return this.#peer.end(CLOSE.rate);
    let isEmpty = true;
    for (const read of readCommands(data)) {
      isEmpty = false;
      if (!this.#peer.mayCommand()) return;
      if (read.kind === "ok") this.#do(read.command);
      else this.#peer.reply(errFrame(read.kind === "refused" ? read.id : undefined, read.code, read.detail));
      if (read.kind === "broken") return this.#peer.end(CLOSE.badFrame);
      if (this.#peer.ending) return;
    }
    if (isEmpty) this.#peer.mayCommand(); // a frame of nothing costs as much as a command
  }

  #do(command: Command): void {
    if (command.op === "pong") return;
    if (command.op === "auth") return void this.#auth(command.id, command.token);
    const { session } = this.#peer;
    if (session === undefined && this.#authenticating) return void (this.#held ??= []).push(command);
    if (session === undefined) return this.#refuse(command.id, "credentials_missing");
    switch (command.op) {
      case "sub":
        return void this.#subscribe(session, command);
      case "unsub":
        session.unsubscribe(command.channel);
        return this.#peer.reply(okFrame(command.id, { ch: command.channel }));
      case "ping":
        return this.#peer.reply(okFrame(command.id, {}));
      case "track":
        return this.#answer(command.id, session.track(command.channel, command.info));
      case "untrack":
        return this.#answer(command.id, session.untrack(command.channel));
      case "hint":
        return this.#answer(command.id, session.hint(command.channel, command.kind, command.data));
      case "cmd":
        return void this.#command(command.id, session, command);
      case "presence": {
        const shown = session.look(command.channel);
        if (shown.kind === "refused") return this.#answer(command.id, shown);
        return this.#peer.reply(okText(command.id, presenceText(shown)));
      }
    }
  }

  /** Of a stranger no more than one frame's worth is kept. */
  #mayHold(bytes: number): boolean {
    if (this.#peer.session !== undefined) return true;
    this.#heldBytes += bytes;
    return this.#heldBytes <= this.#peer.limits.frameInBytesMax;
  }

  #doHeld(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const command of held) if (!this.#peer.ending) this.#do(command);
  }

  /** Bytes have no place in JSON: they are answered as base64. */
  async #command(id: CommandId, session: Session, { channel, command }: Command & { op: "cmd" }): Promise<void> {
    const reply = await session.command(channel, command);
    if (reply.kind === "refused") return this.#peer.reply(errFrame(id, reply.code, reply.detail));
    const { response } = reply;
    const ok =
      response instanceof Uint8Array ? { base64: Buffer.from(response).toString("base64") } : { data: response };
    this.#peer.reply(okFrame(id, ok));
  }

  #answer(id: CommandId, answer: Attended): void {
    this.#peer.reply(answer.kind === "ok" ? okFrame(id, {}) : errFrame(id, answer.code, answer.detail));
  }

  /** The first message, and later ones that renew a token in place. */
  async #auth(id: CommandId, token: string): Promise<void> {
    if (this.#authenticating) return this.#peer.reply(errFrame(id, "frame_invalid", "another auth is being checked"));
    this.#authenticating = true;
    const answer = await this.#peer.identify(token);
    this.#authenticating = false;
    if (this.#peer.ending) return;
    if (answer.kind === "refused") return this.#refuse(id, answer.code, answer.detail);
    const { principal } = answer;
    if (!(await this.#peer.admit(principal)))
      return this.#refuse(id, "permission_denied", "a connection stays with the one who opened it");
    const expires = principal.expiresAt === undefined ? {} : { expires: new Date(principal.expiresAt).toISOString() };
    const { pingMs } = this.#peer.limits;
    this.#peer.reply(okFrame(id, { conn: this.#peer.id, role: principal.role, ping_ms: pingMs, ...expires }));
    this.#doHeld();
  }

  async #subscribe(session: Session, { id, channel, wanted }: Command & { op: "sub" }): Promise<void> {
    const result = await session.subscribe(channel, wanted, (opened) => this.#peer.reply(subscribedFrame(id, opened)));
    if (result.kind === "refused") this.#peer.reply(errFrame(id, result.code, result.detail));
    if (result.kind === "closed")
      this.#peer.reply(errFrame(id, "frame_invalid", "replaced or ended before it was open"));
  }

  /** A refusal of who this is ends the connection; a temporary one may be tried again on another. */
  #refuse(id: CommandId, code: ErrorCode, detail?: string): void {
    this.#peer.reply(errFrame(id, code, detail));
    this.#peer.end(closeOfRefusal(code));
  }
}

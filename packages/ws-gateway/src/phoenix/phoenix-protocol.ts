// Phoenix Channels V2 (docs/gateway-protocol.md §10): the stock client joins, resumes through its join parameters and leaves, whatever
// transport carries the messages.

import { ERRORS, type ErrorCode, type JsonObject, type JsonValue } from "@outcry/protocol";
import type { Attended } from "../channels/attendance.js";
import type { Authenticated } from "../channels/policy.js";
import type { Session } from "../channels/session.js";
import { readWanted, type Wanted } from "../channels/wanted.js";
import type { CloseReason } from "../transport/close-codes.js";
import { readHint, readInfo } from "../presence/presence-wire.js";
import { phoenixText, type ReplyStatus, type ReplyTo } from "./phoenix-format.js";
import type { PhoenixMessage } from "./phoenix-messages.js";

/** The transport underneath: a socket, or a long poll. */
export interface PhoenixTransport {
  readonly session: Session | undefined;
  /** Sends one message's text. */
  say(text: string): void;
  sayBinary(to: ReplyTo, status: ReplyStatus, data: Uint8Array): void;
  identify(token: string): Promise<Authenticated>;
}

export class PhoenixProtocol {
  readonly #transport: PhoenixTransport;
  /** Topic → ref of its join. */
  readonly #joins = new Map<string, string | null>();

  constructor(transport: PhoenixTransport) {
    this.#transport = transport;
  }

  /** Every expected end is answered on the message's own ref. */
  receive(message: PhoenixMessage): void {
    const { session } = this.#transport;
    if (session === undefined) return;
    if (message.topic === "phoenix") return this.#beat(session, message);
    if (message.event === "phx_join") return void this.#join(session, message);
    if (message.event === "phx_leave") return this.#leave(session, message);
    if (!this.#isJoined(message)) return this.#refuse(message, "channel_forbidden", "unmatched topic");
    if (message.event === "access_token") return void this.#renew(session, message);
    if (message.event === "track" || message.event === "untrack" || message.event === "hint")
      return this.#attend(session, message, message.event);
    void this.#command(session, message);
  }

  /**
   * This client connects again after every close code, and joins what it had: only `phx_close` for each channel keeps it from that, for
   * reasons that no repetition mends.
   */
  bye({ reconnect }: CloseReason): string[] {
    return reconnect ? [] : [...this.#joins].map(([topic, joinRef]) => phoenixText.close(joinRef, topic));
  }

  #beat(session: Session, message: PhoenixMessage): void {
    if (message.event !== "heartbeat") return this.#refuse(message, "frame_invalid", "unmatched topic");
    session.advance();
    this.#reply(message, "ok", {});
  }

  async #join(session: Session, message: PhoenixMessage): Promise<void> {
    const { topic, ref } = message;
    const joinRef = message.joinRef ?? ref;
    const wanted = readJoin(message.payload);
    if (typeof wanted === "string") return this.#refuseJoin({ ...message, joinRef }, "request_invalid", wanted);
    const before = this.#joins.get(topic);
    if (before !== undefined) this.#transport.say(phoenixText.close(before, topic));
    this.#joins.set(topic, joinRef);
    const result = await session.subscribe(topic, wanted, ({ cursor, recovered, reason }) =>
      this.#reply({ ...message, joinRef }, "ok", {
        cursor,
        ...(recovered === undefined ? {} : { recovered }),
        ...(reason === undefined ? {} : { reason }),
      }),
    );
    if (result.kind !== "refused") return;
    if (this.#joins.get(topic) === joinRef) this.#joins.delete(topic);
    this.#refuseJoin({ ...message, joinRef }, result.code, result.detail);
  }

  #leave(session: Session, message: PhoenixMessage): void {
    const { topic, joinRef } = message;
    const isJoined = this.#isJoined(message);
    this.#reply(message, "ok", {});
    if (!isJoined) return;
    this.#joins.delete(topic);
    session.unsubscribe(topic);
    this.#transport.say(phoenixText.close(joinRef, topic));
  }

  /** A new token in place of the old one, for the whole connection, as supabase-js sends it. */
  async #renew(session: Session, message: PhoenixMessage): Promise<void> {
    const token = (message.payload as JsonObject)["access_token"];
    if (typeof token !== "string") return this.#refuse(message, "request_invalid", "access_token is not a text");
    const answer = await this.#transport.identify(token);
    if (answer.kind === "refused") return this.#refuse(message, answer.code, answer.detail);
    if (session.principal.id !== answer.principal.id)
      return this.#refuse(message, "permission_denied", "a connection stays with the one who opened it");
    this.#reply(message, "ok", {}); // first: it may cover this channel no longer, and a closed one hears no reply
    await session.renew(answer.principal);
  }

  /** The payload of `track` is the metadata itself, that of `hint` is `{kind, data}`. */
  #attend(session: Session, message: PhoenixMessage, event: "track" | "untrack" | "hint"): void {
    const { topic, payload } = message;
    if (payload instanceof Uint8Array) return this.#refuse(message, "frame_invalid", "the payload is binary");
    if (event === "untrack") return this.#answer(message, session.untrack(topic));
    if (event === "track") {
      const read = readInfo(payload);
      if ("fault" in read) return this.#refuse(message, "request_invalid", read.fault);
      return this.#answer(message, session.track(topic, read.info));
    }
    const read = readHint(payload["kind"], payload["data"]);
    if ("fault" in read) return this.#refuse(message, "request_invalid", read.fault);
    this.#answer(message, session.hint(topic, read.kind, read.data));
  }

  /** Any other push is a command of the channel's kind; an answer in bytes is a binary reply. */
  async #command(session: Session, message: PhoenixMessage): Promise<void> {
    const { topic, event: name, payload } = message;
    const reply = await session.command(topic, { name, payload });
    if (reply.kind === "refused") return this.#refuse(message, reply.code, reply.detail);
    if (!(reply.response instanceof Uint8Array)) return this.#reply(message, "ok", reply.response);
    if (message.ref !== null) this.#transport.sayBinary(message, "ok", reply.response);
  }

  #answer(message: PhoenixMessage, answer: Attended): void {
    if (answer.kind === "ok") this.#reply(message, "ok", {});
    else this.#refuse(message, answer.code, answer.detail);
  }

  #isJoined({ topic, joinRef }: PhoenixMessage): boolean {
    return this.#joins.has(topic) && (joinRef === null || this.#joins.get(topic) === joinRef);
  }

  /** A refused join is repeated by the client for ever, unless its channel is closed. */
  #refuseJoin(message: PhoenixMessage, code: ErrorCode, detail?: string): void {
    this.#refuse(message, code, detail);
    if (!ERRORS[code].temporary) this.#transport.say(phoenixText.close(message.joinRef, message.topic));
  }

  #refuse(message: PhoenixMessage, code: ErrorCode, detail?: string): void {
    const { meaning, temporary } = ERRORS[code];
    this.#reply(message, "error", { code, reason: detail ?? meaning, retry: temporary ? "after" : "never" });
  }

  /** A push without a ref wants no answer. */
  #reply(message: PhoenixMessage, status: ReplyStatus, response: JsonValue): void {
    if (message.ref !== null) this.#transport.say(phoenixText.reply(message, status, response));
  }
}

/** The parameters of a join; a cursor of null is none yet. A text says what is wrong. */
function readJoin(payload: JsonObject | Uint8Array): Wanted | string {
  if (payload instanceof Uint8Array) return "a join has no binary parameters";
  return readWanted(payload["cursor"] ?? undefined, payload);
}

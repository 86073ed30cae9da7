// The wire protocol `outcry.v1`, client to server (docs/gateway-protocol.md §3): frames into commands. Nothing is decided here.

import { type ErrorCode, type JsonObject, type JsonValue, parseStrict } from "@outcry/protocol";
import type { ChannelCommand } from "../channels/command.js";
import { readWanted, type Wanted } from "../channels/wanted.js";
import { readHint, readInfo } from "../presence/presence-wire.js";
import { GATEWAY_LIMITS } from "../limits.js";
import type { CommandId } from "./native-format.js";

export type Command =
  | { readonly op: "auth"; readonly id: CommandId; readonly token: string }
  | { readonly op: "sub"; readonly id: CommandId; readonly channel: string; readonly wanted: Wanted }
  | { readonly op: "unsub" | "untrack" | "presence"; readonly id: CommandId; readonly channel: string }
  | { readonly op: "cmd"; readonly id: CommandId; readonly channel: string; readonly command: ChannelCommand }
  | { readonly op: "track"; readonly id: CommandId; readonly channel: string; readonly info: string }
  | {
      readonly op: "hint";
      readonly id: CommandId;
      readonly channel: string;
      readonly kind: string;
      readonly data: JsonValue;
    }
  | { readonly op: "ping"; readonly id: CommandId }
  | { readonly op: "pong" };

export type ReadCommand =
  | { readonly kind: "ok"; readonly command: Command }
  /** An object whose operation or members are not known: answered, and the next one is read. */
  | { readonly kind: "refused"; readonly id: CommandId | undefined; readonly code: ErrorCode; readonly detail: string }
  /** Not JSON objects: this peer does not speak the protocol. */
  | { readonly kind: "broken"; readonly code: ErrorCode; readonly detail: string };

const NEWLINE = 0x0a;

/** One frame holds several JSON objects, one a line. Ends at the first broken one. */
export function* readCommands(frame: Buffer): Generator<ReadCommand> {
  for (let start = 0; start <= frame.length;) {
    const at = frame.indexOf(NEWLINE, start);
    const end = at < 0 ? frame.length : at;
    const read = end > start ? readCommand(frame.subarray(start, end)) : undefined;
    if (read !== undefined) yield read;
    if (read?.kind === "broken") return;
    start = end + 1;
  }
}

function readCommand(line: Uint8Array): ReadCommand {
  const parsed = parseStrict(line, { bytesMax: GATEWAY_LIMITS.frameInBytesMax });
  if (parsed.kind === "refused") return { kind: "broken", code: parsed.code, detail: parsed.detail };
  const { value } = parsed;
  if (value === null || typeof value !== "object" || Array.isArray(value))
    return { kind: "broken", code: "frame_invalid", detail: "not an object" };
  const id = isCommandId(value.id) ? value.id : undefined;
  const command =
    value.op === "pong"
      ? ({ op: "pong" } as const)
      : id === undefined
        ? "id is missing, or neither a short text nor an integer"
        : toCommand(value, id);
  return typeof command === "string"
    ? { kind: "refused", id, code: "frame_invalid", detail: command }
    : { kind: "ok", command };
}

const isCommandId = (id: unknown): id is CommandId =>
  (typeof id === "string" && id.length > 0 && id.length <= GATEWAY_LIMITS.commandIdCharsMax) ||
  (Number.isSafeInteger(id) && (id as number) >= 0);

/** Unknown members are ignored; a text says what is wrong with a known one. */
function toCommand(asked: JsonObject, id: CommandId): Command | string {
  const { op, token, ch } = asked;
  switch (op) {
    case "auth":
      if (typeof token !== "string" || token.length > GATEWAY_LIMITS.tokenCharsMax)
        return "token is not a text, or too long";
      return { op: "auth", id, token };
    case "sub":
      return typeof ch === "string" ? toSubscribe(id, ch, asked) : "ch is not a text";
    case "unsub":
    case "untrack":
    case "presence":
      return typeof ch === "string" ? { op, id, channel: ch } : "ch is not a text";
    case "cmd":
      if (typeof ch !== "string" || typeof asked["cmd"] !== "string") return "ch or cmd is not a text";
      return { op, id, channel: ch, command: { name: asked["cmd"], payload: asked["data"] ?? null } };
    case "track":
    case "hint":
      return typeof ch === "string" ? toSaying(id, op, ch, asked) : "ch is not a text";
    case "ping":
      return { op: "ping", id };
    default:
      return "op is not auth, sub, unsub, track, untrack, presence, hint, cmd, ping or pong";
  }
}

function toSubscribe(id: CommandId, channel: string, asked: JsonObject): Command | string {
  const { cur } = asked;
  if (cur !== undefined && (asked["from"] ?? asked["rewind"]) !== undefined)
    return "cur excludes from and rewind: it says where to begin";
  const wanted = readWanted(cur, asked);
  return typeof wanted === "string" ? wanted : { op: "sub", id, channel, wanted };
}

function toSaying(id: CommandId, op: "track" | "hint", channel: string, more: JsonObject): Command | string {
  if (op === "track") {
    const read = readInfo(more["info"]);
    return "fault" in read ? read.fault : { op, id, channel, ...read };
  }
  const read = readHint(more["kind"], more["data"]);
  return "fault" in read ? read.fault : { op, id, channel, ...read };
}

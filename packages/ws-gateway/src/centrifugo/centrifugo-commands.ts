// Commands of Centrifugo's JSON protocol, client to server: one JSON object a line, several in a frame, `{}` is a pong. Nothing is
// decided here.

import { type JsonObject, type JsonValue, parseStrict } from "@outcry/protocol";
import type { ChannelCommand } from "../channels/command.js";
import { readWanted, type Wanted } from "../channels/wanted.js";
import { readHint } from "../presence/presence-wire.js";
import { GATEWAY_LIMITS } from "../limits.js";

export type CentrifugoCommand = { readonly id: number } & (
  | { readonly kind: "connect" | "refresh"; readonly token: string }
  | {
      readonly kind: "subscribe";
      readonly channel: string;
      /** Its cursor is `<epoch>:<offset>`. */
      readonly wanted: Wanted;
      /** An unrecovered subscription is to be refused with error 112 instead. */
      readonly rejectUnrecovered: boolean;
    }
  | { readonly kind: "unsubscribe"; readonly channel: string }
  | { readonly kind: "presence" | "presence_stats"; readonly channel: string }
  /** A hint, which is published as `{hint: {kind, data}}`. */
  | { readonly kind: "hint"; readonly channel: string; readonly hint: string; readonly data: JsonValue }
  /** Its method is `<channel>/<command>`. */
  | { readonly kind: "rpc"; readonly channel: string; readonly command: ChannelCommand }
  /** Known to the protocol, not offered here. */
  | { readonly kind: "unavailable" }
);

const NEWLINE = 0x0a;
const REJECT_UNRECOVERED = 2;
const UNAVAILABLE = ["history", "sub_refresh", "ping"] as const;

/** Undefined where the frame is not of this protocol. */
export function readCommands(frame: Buffer): CentrifugoCommand[] | undefined {
  const commands: CentrifugoCommand[] = [];
  for (let start = 0; start < frame.length;) {
    const at = frame.indexOf(NEWLINE, start);
    const end = at < 0 ? frame.length : at;
    if (end > start) {
      const read = readCommand(frame.subarray(start, end));
      if (read === undefined) return undefined;
      if (read !== "pong" && read !== "unanswered") commands.push(read);
    }
    start = end + 1;
  }
  return commands;
}

function readCommand(line: Uint8Array): CentrifugoCommand | "pong" | "unanswered" | undefined {
  const parsed = parseStrict(line, { bytesMax: GATEWAY_LIMITS.frameInBytesMax });
  if (parsed.kind === "refused" || !isObject(parsed.value)) return undefined;
  const { id, ...command } = parsed.value;
  const [name] = Object.keys(command);
  if (name === undefined && id === undefined) return "pong";
  if (name === "send" && id === undefined) return "unanswered"; // asynchronous messages have no reply, and nobody takes them here
  const body = name === undefined ? undefined : command[name];
  if (!Number.isSafeInteger(id) || (id as number) < 1 || name === undefined || !isObject(body)) return undefined;
  return toCommand(id as number, name, body);
}

const isObject = (value: unknown): value is JsonObject =>
  value !== null && typeof value === "object" && !Array.isArray(value);

function toCommand(id: number, name: string, body: JsonObject): CentrifugoCommand | undefined {
  const { token = "", channel } = body;
  if (name === "connect" || name === "refresh") {
    return typeof token === "string" ? { id, kind: name, token } : undefined;
  }
  if ((UNAVAILABLE as readonly string[]).includes(name)) return { id, kind: "unavailable" };
  if (name === "rpc") return toRpc(id, body);
  if (typeof channel !== "string") return undefined;
  if (name === "unsubscribe") return { id, kind: name, channel };
  if (name === "presence" || name === "presence_stats") return { id, kind: name, channel };
  if (name === "publish") return toHint(id, channel, body);
  return name === "subscribe" ? toSubscribe(id, channel, body) : undefined;
}

function toRpc(id: number, { method, data = null }: JsonObject): CentrifugoCommand | undefined {
  if (typeof method !== "string") return undefined;
  const at = method.lastIndexOf("/");
  return { id, kind: "rpc", channel: method.slice(0, at), command: { name: method.slice(at + 1), payload: data } };
}

function toHint(id: number, channel: string, { data }: JsonObject): CentrifugoCommand {
  const hint =
    isObject(data) && isObject(data["hint"]) ? readHint(data["hint"]["kind"], data["hint"]["data"]) : undefined;
  if (hint === undefined || "fault" in hint) return { id, kind: "unavailable" };
  return { id, kind: "hint", channel, hint: hint.kind, data: hint.data };
}

/** A position of zero is one of its protocol's own: the beginning of an unknown epoch. */
function toSubscribe(id: number, channel: string, body: JsonObject): CentrifugoCommand | undefined {
  const { recover = false, offset = 0, epoch = "", flag = 0, data = null, join_leave: joinLeave } = body;
  if (typeof recover !== "boolean" || typeof offset !== "number" || typeof epoch !== "string") return undefined;
  if (typeof flag !== "number") return undefined;
  // What this protocol has no word for stands in the subscription's own data.
  const wanted = readWanted(recover ? `${epoch}:${offset}` : undefined, {
    ...(isObject(data) ? data : {}),
    presence: joinLeave === true ? true : undefined,
  });
  if (typeof wanted === "string") return undefined;
  return { id, kind: "subscribe", channel, wanted, rejectUnrecovered: (flag & REJECT_UNRECOVERED) !== 0 };
}

// Centrifugo's JSON protocol, server to client (docs/gateway-protocol.md §11).

import { ERRORS, type ErrorCode } from "@outcry/protocol";
import type { CursorKey } from "../channels/cursor.js";
import type { Format } from "../channels/format.js";
import type { Members } from "../presence/presence-shown.js";
import { textFrame } from "../transport/frame.js";
import { OffsetCursors, splitOffset } from "./offset.js";

/** Of an unsubscribe push: from 2500 on the client subscribes again. */
const UNSUBSCRIBED = { ended: 2000, insufficientState: 2500 };

export const centrifugoFormat = (keys: readonly CursorKey[]): Format => ({
  name: "centrifugo",
  cursors: new OffsetCursors(keys),
  event: (channel, cursor, { type, json }) =>
    textFrame(
      `{"push":{"channel":${JSON.stringify(channel)},"pub":{"data":${json},"offset":${splitOffset(cursor).offset},"tags":{"type":${JSON.stringify(type)}}}}}`,
    ),
  /** Its clients move their position with publications, and with the answer to a subscription. */
  position: () => undefined,
  askAgain: (channel) => unsubscribed(channel, UNSUBSCRIBED.insufficientState, "the position is getting old"),
  /** The state is asked for with `presence`; too many to name join and leave unsaid. */
  presence(channel, shown) {
    if (shown.kind !== "change") return undefined;
    const [joins, leaves] = [clientsOf(shown.joins), clientsOf(shown.leaves)];
    return Buffer.concat([
      ...joins.map(([, info]) => pushFrame(channel, `"join":{"info":${info}}`)),
      ...leaves.map(([, info]) => pushFrame(channel, `"leave":{"info":${info}}`)),
    ]);
  },
  /** Without an offset: it moves no position. */
  hint: (channel, { from, kind, data }) =>
    pushFrame(channel, `"pub":{"data":${JSON.stringify({ hint: { from, kind, data } })},"tags":{"type":"hint"}}`),
  /** The client subscribes again with what it has, and is told that it was not recovered. */
  reset: (channel, reason) => unsubscribed(channel, UNSUBSCRIBED.insufficientState, `insufficient state: ${reason}`),
  ended: (channel, code) => unsubscribed(channel, UNSUBSCRIBED.ended, code),
});

const pushFrame = (channel: string, said: string): Buffer =>
  textFrame(`{"push":{"channel":${JSON.stringify(channel)},${said}}}`);

/** One info per connection, by its id. */
export const clientsOf = (members: Members): (readonly [client: string, info: string])[] =>
  members.flatMap(([member, metas]) =>
    metas.map(({ client, info }): [string, string] => [
      client,
      `{"client":${JSON.stringify(client)},"user":${JSON.stringify(member)},"conn_info":${info}}`,
    ]),
  );

const unsubscribed = (channel: string, code: number, reason: string): Buffer =>
  textFrame(JSON.stringify({ push: { channel, unsubscribe: { code, reason } } }));

export const pingFrame = textFrame("{}");

export const replyFrame = (id: number, kind: string, result: object): Buffer =>
  textFrame(JSON.stringify({ id, [kind]: result }));

export const UNRECOVERABLE = { code: 112, message: "unrecoverable position", temporary: false };

/** By Centrifugo's own numbers; the message begins with our code. */
export function errorFrame(id: number, error: ErrorCode | typeof UNRECOVERABLE, detail?: string): Buffer {
  return textFrame(JSON.stringify({ id, error: typeof error === "string" ? toError(error, detail) : error }));
}

const NUMBERS: Partial<Record<ErrorCode, number>> = {
  credentials_missing: 101,
  credentials_invalid: 101,
  permission_denied: 103,
  channel_forbidden: 103,
  subscription_limit: 106,
  channel_invalid: 107,
  frame_invalid: 108,
  token_expired: 109,
};

function toError(code: ErrorCode, detail: string | undefined) {
  const { meaning, temporary } = ERRORS[code];
  return { code: NUMBERS[code] ?? (temporary ? 100 : 107), message: `${code}: ${detail ?? meaning}`, temporary };
}

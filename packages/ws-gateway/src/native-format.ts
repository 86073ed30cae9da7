// The wire protocol `outcry.v1`, server to client (docs/gateway-protocol.md §4 to §6).

import { ERRORS, type ErrorCode } from "@outcry/protocol";
import type { CloseReason } from "./close-codes.js";
import type { Format } from "./format.js";
import { textFrame } from "./frame.js";

export const SUBPROTOCOL = "outcry.v1";

export type CommandId = string | number;

export const nativeFormat: Format = {
  name: SUBPROTOCOL,
  event: (channel, cursor, { type, json }) =>
    textFrame(`{"ch":${JSON.stringify(channel)},"c":"${cursor}","e":${JSON.stringify(type)},"d":${json}}`),
  position: (channel, cursor) => textFrame(JSON.stringify({ ch: channel, pos: cursor })),
  reset: (channel, reason, c) => textFrame(JSON.stringify({ ch: channel, reset: { reason, c } })),
  ended: (channel, code) => textFrame(JSON.stringify({ ch: channel, end: { code } })),
};

export const pingFrame = textFrame("{}");

export const okFrame = (id: CommandId | undefined, ok: object): Buffer => textFrame(JSON.stringify({ id, ok }));

/** `id` is null when the command could not be read so far. */
export function errFrame(id: CommandId | undefined, code: ErrorCode, detail?: string): Buffer {
  const { number, temporary, meaning } = ERRORS[code];
  return textFrame(
    JSON.stringify({
      id: id ?? null,
      err: { code, n: number, retry: temporary ? "after" : "never", msg: detail ?? meaning },
    }),
  );
}

export const byeFrame = ({ code, number }: CloseReason, afterMs: number): Buffer =>
  textFrame(JSON.stringify({ bye: { n: number, code, after_ms: afterMs } }));

// The wire protocol `outcry.v1`, server to client (docs/gateway-protocol.md §4 to §6).

import { ERRORS, type ErrorCode } from "@outcry/protocol";
import type { CloseReason } from "../transport/close-codes.js";
import type { Format } from "../channels/format.js";
import { textFrame } from "../transport/frame.js";
import type { RenderedEvent } from "../channels/policy.js";

export const SUBPROTOCOL = "outcry.v1";

export type CommandId = string | number;

/** The messages of §5 as JSON, each on one line. */
export const nativeText = {
  event: (channel: string, cursor: string, { type, json }: RenderedEvent): string =>
    `{"ch":${JSON.stringify(channel)},"c":"${cursor}","e":${JSON.stringify(type)},"d":${json}}`,
  position: (channel: string, cursor: string): string => JSON.stringify({ ch: channel, pos: cursor }),
  reset: (channel: string, reason: string, c: string): string => JSON.stringify({ ch: channel, reset: { reason, c } }),
  ended: (channel: string, code: string): string => JSON.stringify({ ch: channel, end: { code } }),
  bye: ({ code, number }: CloseReason, afterMs: number): string =>
    JSON.stringify({ bye: { n: number, code, after_ms: afterMs } }),
};

export const nativeFormat: Format = {
  name: SUBPROTOCOL,
  event: (channel, cursor, event) => textFrame(nativeText.event(channel, cursor, event)),
  position: (channel, cursor) => textFrame(nativeText.position(channel, cursor)),
  reset: (channel, reason, cursor) => textFrame(nativeText.reset(channel, reason, cursor)),
  ended: (channel, code) => textFrame(nativeText.ended(channel, code)),
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

export const byeFrame = (why: CloseReason, afterMs: number): Buffer => textFrame(nativeText.bye(why, afterMs));

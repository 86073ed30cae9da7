// The wire protocol `outcry.v1`, server to client (docs/gateway-protocol.md §4 to §6).

import { ERRORS, type ErrorCode } from "@outcry/protocol";
import type { CloseReason } from "../transport/close-codes.js";
import type { Format } from "../channels/format.js";
import type { Opened } from "../channels/subscribe.js";
import type { Hint } from "../presence/hints.js";
import type { Members, PresenceShown } from "../presence/presence-shown.js";
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
  presence: (channel: string, shown: PresenceShown): string =>
    `{"ch":${JSON.stringify(channel)},"pres":${presenceText(shown)}}`,
  hint: (channel: string, { from, kind, data }: Hint): string =>
    JSON.stringify({ ch: channel, hint: { from, kind, data } }),
  ended: (channel: string, code: string): string => JSON.stringify({ ch: channel, end: { code } }),
  bye: ({ code, number }: CloseReason, afterMs: number): string =>
    JSON.stringify({ bye: { n: number, code, after_ms: afterMs } }),
};

export const nativeFormat: Format = {
  name: SUBPROTOCOL,
  event: (channel, cursor, event) => textFrame(nativeText.event(channel, cursor, event)),
  position: (channel, cursor) => textFrame(nativeText.position(channel, cursor)),
  reset: (channel, reason, cursor) => textFrame(nativeText.reset(channel, reason, cursor)),
  presence: (channel, shown) => textFrame(nativeText.presence(channel, shown)),
  hint: (channel, hint) => textFrame(nativeText.hint(channel, hint)),
  ended: (channel, code) => textFrame(nativeText.ended(channel, code)),
};

export function presenceText(shown: PresenceShown): string {
  switch (shown.kind) {
    case "state":
      return `{"state":${membersText(shown.members)}}`;
    case "change":
      return `{"joins":${membersText(shown.joins)},"leaves":${membersText(shown.leaves)}}`;
    case "count":
      return `{"count":${shown.count}}`;
    default:
      return shown satisfies never;
  }
}

/** Written by hand: the metadata is JSON text already, and a member may be called `__proto__`. */
function membersText(members: Members): string {
  const texts = members.map(([member, metas]) => {
    const list = metas.map(({ ref, info }) => `{"ref":"${ref}","info":${info}}`);
    return `${JSON.stringify(member)}:[${list.join(",")}]`;
  });
  return `{${texts.join(",")}}`;
}

export const pingFrame = textFrame("{}");

export const okFrame = (id: CommandId | undefined, ok: object): Buffer => textFrame(JSON.stringify({ id, ok }));

/** `ok` is JSON text already. */
export const okText = (id: CommandId, ok: string): Buffer => textFrame(`{"id":${JSON.stringify(id)},"ok":${ok}}`);

/** The reply to `sub`. By hand: half the time of an object's. */
export const subscribedFrame = (id: CommandId, { channel, cursor, recovered, reason }: Opened): Buffer => {
  const recovery = recovered === undefined ? "" : `,"recovered":${recovered}`;
  const why = reason === undefined ? "" : `,"reason":"${reason}"`;
  return okText(id, `{"ch":${JSON.stringify(channel)},"c":"${cursor}"${recovery}${why}}`);
};

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

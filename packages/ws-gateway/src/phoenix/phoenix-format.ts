// Phoenix Channels V2, server to client (docs/gateway-protocol.md §10). What a channel says goes without refs, as Phoenix's own
// broadcasts do: the same bytes serve every member.

import type { JsonValue } from "@outcry/protocol";
import type { Format } from "../channels/format.js";
import type { Members, PresenceShown } from "../presence/presence-shown.js";
import { binaryFrame, textFrame } from "../transport/frame.js";

/** One message as JSON text. `response` and `payload` are JSON themselves. */
export const phoenixText = {
  broadcast: (topic: string, event: string, payload: string): string =>
    `[null,null,${JSON.stringify(topic)},${JSON.stringify(event)},${payload}]`,
  /** To one member of the topic. */
  push: (joinRef: string | null, topic: string, event: string, payload: JsonValue): string =>
    JSON.stringify([joinRef, null, topic, event, payload]),
  reply: (to: ReplyTo, status: ReplyStatus, response: JsonValue): string =>
    JSON.stringify([to.joinRef, to.ref, to.topic, "phx_reply", { status, response }]),
  /** The channel is gone: the client does not join again. */
  close: (joinRef: string | null, topic: string): string => JSON.stringify([joinRef, joinRef, topic, "phx_close", {}]),
};

export interface ReplyTo {
  readonly joinRef: string | null;
  readonly ref: string | null;
  readonly topic: string;
}

export type ReplyStatus = "ok" | "error";

/** `frame` makes of one message's text what the transport writes. */
export const phoenixFormat = (name: string, frame: (text: string) => Buffer): Format => ({
  name,
  event: (channel, cursor, { type, json }) =>
    frame(phoenixText.broadcast(channel, type, `{"cursor":"${cursor}","event":${json}}`)),
  position: (channel, cursor) => frame(phoenixText.broadcast(channel, "cursor", JSON.stringify({ cursor }))),
  reset: (channel, reason, cursor) => frame(phoenixText.broadcast(channel, "gap", JSON.stringify({ reason, cursor }))),
  presence: (channel, shown) => frame(presenceText(channel, shown)),
  hint: (channel, { from, kind, data }) =>
    frame(phoenixText.broadcast(channel, "hint", JSON.stringify({ from, kind, data }))),
  ended: (channel, code) =>
    Buffer.concat([
      frame(phoenixText.broadcast(channel, "end", JSON.stringify({ code }))),
      frame(phoenixText.close(null, channel)),
    ]),
});

const REPLY = 1;

/** `01 jl rl tl sl join_ref ref topic status data`: the answer to a binary push may be bytes as well. */
export function binaryReply({ joinRef, ref, topic }: ReplyTo, status: ReplyStatus, data: Uint8Array): Buffer {
  const texts = [joinRef ?? "", ref ?? "", topic, status].map((text) => Buffer.from(text));
  return binaryFrame(Buffer.concat([Buffer.from([REPLY, ...texts.map(({ length }) => length)]), ...texts, data]));
}

function presenceText(channel: string, shown: PresenceShown): string {
  switch (shown.kind) {
    case "state":
      return phoenixText.broadcast(channel, "presence_state", membersText(shown.members));
    case "change": {
      const diff = `{"joins":${membersText(shown.joins)},"leaves":${membersText(shown.leaves)}}`;
      return phoenixText.broadcast(channel, "presence_diff", diff);
    }
    case "count":
      return phoenixText.broadcast(channel, "presence_count", JSON.stringify({ count: shown.count }));
    default:
      return shown satisfies never;
  }
}

/** Written by hand: a member may be called `__proto__`. */
function membersText(members: Members): string {
  const texts = members.map(([member, metas]) => {
    const list = metas.map(({ ref, info }) => `{"phx_ref":"${ref}"${info === "{}" ? "" : `,${info.slice(1, -1)}`}}`);
    return `${JSON.stringify(member)}:{"metas":[${list.join(",")}]}`;
  });
  return `{${texts.join(",")}}`;
}

export const phoenixSocketFormat = phoenixFormat("phoenix", textFrame);

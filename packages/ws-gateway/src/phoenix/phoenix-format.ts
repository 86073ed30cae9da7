// Phoenix Channels V2, server to client (docs/gateway-protocol.md §10). What a channel says goes without refs, as Phoenix's own
// broadcasts do: the same bytes serve every member.

import type { JsonValue } from "@outcry/protocol";
import type { Format } from "../channels/format.js";
import { textFrame } from "../transport/frame.js";

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
  ended: (channel, code) =>
    Buffer.concat([
      frame(phoenixText.broadcast(channel, "end", JSON.stringify({ code }))),
      frame(phoenixText.close(null, channel)),
    ]),
});

export const phoenixSocketFormat = phoenixFormat("phoenix", textFrame);

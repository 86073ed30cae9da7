// The wire forms of `GET /v1/stream` (docs/gateway-protocol.md §9): Server-Sent Events, and lines of JSON for whoever reads them by hand.

import type { CloseReason } from "../transport/close-codes.js";
import type { Format } from "../channels/format.js";
import { nativeText } from "../native/native-format.js";
import type { Opened } from "../channels/subscribe.js";

/** What a streamed HTTP answer says beside its channel's messages. */
export interface HttpFormat extends Format {
  readonly contentType: string;
  /** The first message; `retryMs` is when to come back after the connection broke. */
  opened(opened: Opened, retryMs: number): Buffer;
  ping: Buffer;
  bye(why: CloseReason, afterMs: number): Buffer;
}

const line = (text: string): Buffer => Buffer.from(`${text}\n`);

export const linesFormat: HttpFormat = {
  name: "lines",
  contentType: "application/x-ndjson",
  event: (channel, cursor, event) => line(nativeText.event(channel, cursor, event)),
  position: (channel, cursor) => line(nativeText.position(channel, cursor)),
  reset: (channel, reason, cursor) => line(nativeText.reset(channel, reason, cursor)),
  presence: (channel, shown) => line(nativeText.presence(channel, shown)),
  hint: (channel, hint) => line(nativeText.hint(channel, hint)),
  ended: (channel, code) => line(nativeText.ended(channel, code)),
  opened: (opened) => line(JSON.stringify({ ok: okOf(opened) })),
  ping: line("{}"),
  bye: (why, afterMs) => line(nativeText.bye(why, afterMs)),
};

interface Block {
  readonly event?: string;
  readonly id?: string;
  readonly retryMs?: number;
  readonly data: string;
}

/** Without `event` it reaches `onmessage`; a block without data is dispatched by no client (WHATWG HTML §9.2.6). */
function block({ event, id, retryMs, data }: Block): Buffer {
  const named = event === undefined ? "" : `event: ${event}\n`;
  const identified = id === undefined ? "" : `id: ${id}\n`;
  const advised = retryMs === undefined ? "" : `retry: ${retryMs}\n`;
  return Buffer.from(`${named}${identified}${advised}data: ${data}\n\n`);
}

export const sseFormat: HttpFormat = {
  name: "sse",
  contentType: "text/event-stream",
  event: (channel, cursor, event) => block({ id: cursor, data: nativeText.event(channel, cursor, event) }),
  position: (channel, cursor) => block({ event: "cursor", id: cursor, data: nativeText.position(channel, cursor) }),
  reset: (channel, reason, cursor) =>
    block({ event: "reset", id: cursor, data: nativeText.reset(channel, reason, cursor) }),
  presence: (channel, shown) => block({ event: "presence", data: nativeText.presence(channel, shown) }),
  hint: (channel, hint) => block({ event: "hint", data: nativeText.hint(channel, hint) }),
  ended: (channel, code) => block({ event: "end", data: nativeText.ended(channel, code) }),
  opened: (opened, retryMs) =>
    block({ event: "subscribed", id: opened.cursor, retryMs, data: JSON.stringify(okOf(opened)) }),
  ping: Buffer.from(":\n\n"),
  bye: (why, afterMs) => block({ event: "bye", retryMs: afterMs, data: nativeText.bye(why, afterMs) }),
};

/** As the reply to `sub` (§3.2). */
const okOf = ({ channel, cursor, recovered, reason }: Opened): object => ({
  ch: channel,
  c: cursor,
  recovered,
  reason,
});

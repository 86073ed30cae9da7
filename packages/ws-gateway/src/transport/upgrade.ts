// A refused WebSocket upgrade: an ordinary HTTP answer with a problem body (RFC 9457), then the end of the socket. What `ws` would refuse
// with a text of its own (RFC 6455 §4.2.1) is refused here before it, and alike.

import { type ErrorCode, newId, OutcryError, problemOf } from "@outcry/protocol";
import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";

export interface UpgradeRefusal {
  readonly status: 400 | 401 | 403 | 404 | 405 | 426 | 503;
  readonly code: ErrorCode;
  readonly detail?: string;
}

const RETRY_AFTER_S = 1; // with the client's jitter on top
const VERSION = "13"; // `ws` takes draft 8, too, whose browsers send their Origin under another name
const KEY = /^[+/0-9A-Za-z]{22}==$/;

/** What is wrong with the handshake itself. */
export function handshakeFault({ method, headers }: IncomingMessage): UpgradeRefusal | undefined {
  const refused = (status: UpgradeRefusal["status"], detail: string): UpgradeRefusal => ({
    status,
    code: status === 405 ? "method_not_allowed" : "request_invalid",
    detail,
  });
  if (method !== "GET") return refused(405, "an upgrade is a GET");
  if (headers.upgrade?.toLowerCase() !== "websocket") return refused(400, "Upgrade is not websocket");
  if (headers["sec-websocket-version"] !== VERSION) return refused(426, `Sec-WebSocket-Version is not ${VERSION}`);
  if (!KEY.test(headers["sec-websocket-key"] ?? "")) return refused(400, "Sec-WebSocket-Key is missing or malformed");
  return undefined;
}

export function refuseUpgrade(socket: Duplex, { status, code, detail }: UpgradeRefusal): void {
  const body = JSON.stringify({ ...problemOf(new OutcryError(code, detail), newId("req")), status });
  socket.on("error", () => undefined); // the peer may be gone already
  // HTTP sockets may be half open, and nobody reads this one any more: its peer's end would never be seen.
  socket.once("finish", () => socket.destroy());
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      "Connection: close",
      "Content-Type: application/problem+json",
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...(status === 405 ? ["Allow: GET"] : []),
      ...(status === 426 ? [`Sec-WebSocket-Version: ${VERSION}`] : []),
      ...(status === 503 ? [`Retry-After: ${RETRY_AFTER_S}`] : []),
      "",
      body,
    ].join("\r\n"),
  );
}

// A refused WebSocket upgrade: an ordinary HTTP answer with a problem body (RFC 9457), then the end of the socket.

import { type ErrorCode, newId, OutcryError, problemOf } from "@outcry/protocol";
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";

export interface UpgradeRefusal {
  readonly status: 400 | 401 | 403 | 404 | 503;
  readonly code: ErrorCode;
  readonly detail?: string;
}

const RETRY_AFTER_S = 1; // with the client's jitter on top

export function refuseUpgrade(socket: Duplex, { status, code, detail }: UpgradeRefusal): void {
  const body = JSON.stringify({ ...problemOf(new OutcryError(code, detail), newId("req")), status });
  socket.on("error", () => undefined); // the peer may be gone already
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      "Connection: close",
      "Content-Type: application/problem+json",
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...(status === 503 ? [`Retry-After: ${RETRY_AFTER_S}`] : []),
      "",
      body,
    ].join("\r\n"),
  );
}
